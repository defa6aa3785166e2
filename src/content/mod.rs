//! What a torrent is: immutable, checked once.
