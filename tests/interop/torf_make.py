"""torf for the interop tests: torf_make.py PIECE_LENGTH OUT PATH makes a .torrent of PATH."""

import sys

import torf

length, out, path = sys.argv[1:]
torrent = torf.Torrent(path=path, piece_size=int(length))
torrent.generate()
torrent.write(out, overwrite=True)
