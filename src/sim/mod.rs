//! The ring's understudy: virtual clock, network, disks, trackers and scripted peers.
