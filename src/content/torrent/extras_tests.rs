//! What stands beside the content: attributes, links, hints and texts; and what stays bounded.

use std::path::Path;

use super::tests::Forge;
use super::*;
use crate::base::limits::PATH_TOTAL_LEN_MAX;

fn load(bytes: &[u8]) -> Torrent {
    match Torrent::parse(bytes) {
        Ok(torrent) => torrent,
        Err(error) => panic!("{}: {error}", bytes.escape_ascii()),
    }
}

#[test]
fn attributes_and_links_are_told_and_not_acted_upon() {
    let v1 = "d4:attr2:xh6:lengthi3e4:pathl1:aee\
              d4:attr1:l6:lengthi0e4:pathl4:linke12:symlink pathl2:..3:sub1:tee\
              d4:attr1:l4:pathl5:emptyee\
              d4:attr1:?6:lengthi0e4:pathl1:dee";
    let v2 = "d1:ad0:d4:attr2:hx6:lengthi3e11:pieces root32:01234567890123456789012345678901ee\
              4:linkd0:d4:attr1:l12:symlink pathl2:..3:sub1:teee\
              5:emptyd0:d4:attr1:l6:lengthi9eee\
              1:dd0:d4:attr1:?6:lengthi0eeee";
    let (v1, v2) = (Forge::multi(v1), Forge::tree(v2));
    for torrent in [load(&v1.torrent()), load(&v2.torrent())] {
        let [file, link, empty, odd] =
            torrent.files()[..].iter().filter(|f| !f.is_pad()).collect::<Vec<_>>()[..]
        else {
            panic!("four files")
        };
        assert!(file.is_executable() && file.is_hidden() && file.is_on_disk());
        assert!(link.is_symlink() && !link.is_on_disk() && !link.is_executable());
        assert_eq!(link.symlink_target(), Some(Path::new("__/sub/t")), "never out of the torrent");
        assert_eq!((empty.is_symlink(), empty.length(), empty.symlink_target()), (true, 0, None));
        assert_eq!((odd.is_on_disk(), odd.symlink_target()), (true, None));
    }
    let single = Forge::single().with("attr", "3:lpx");
    let torrent = load(&single.torrent());
    assert!(torrent.files()[0].is_executable() && torrent.files()[0].is_on_disk());
    assert_eq!(torrent.files()[0].length(), 3, "one file that is nothing else");
}

#[test]
fn hints_are_read_inside_and_outside_of_info() {
    let hash = |byte: &str| format!("20:{}", byte.repeat(20));
    let info = Forge::single()
        .with("collections", "l3:one2:iie")
        .with("similar", format!("l{}3:abce", hash("a")))
        .with("source", "4:SITE");
    let bytes = Forge::empty()
        .with("collections", "li5e5:threee")
        .with("encoding", "5:UTF-8")
        .with("httpseeds", "l8:http://xe")
        .with("info", info.render())
        .with("nodes", "ll9:127.0.0.1i6881eel4:hosti0eel4:hosti65536eel5:a b\nci1eel2:::i1eei7ee")
        .with("similar", format!("l{}e", hash("b")))
        .render();
    let torrent = load(&bytes);
    assert_eq!(torrent.similar(), [Sha1([b'b'; 20]), Sha1([b'a'; 20])]);
    assert_eq!(torrent.collections(), ["three", "one", "ii"]);
    assert_eq!((torrent.source(), torrent.encoding()), (Some("SITE"), Some("UTF-8")));
    assert_eq!(torrent.nodes(), [("127.0.0.1".to_owned(), 6_881), ("::".to_owned(), 1)]);
    assert!(torrent.url_list().is_empty(), "httpseeds are another protocol");
    let bare = Torrent::from_info(torrent.info_bytes(), &[], &[]).unwrap();
    assert_eq!((bare.similar().len(), bare.collections().len()), (1, 2));
    assert_eq!((bare.source(), bare.nodes().len()), (Some("SITE"), 0));
}

#[test]
fn hints_and_texts_without_end_are_cut() {
    let text = |len: usize| format!("{len}:{}", "é".repeat(len / 2));
    let bytes = Forge::empty()
        .with("announce-list", format!("l{}e", "l0:e".repeat(5_000) + &"l1:xe".repeat(5)))
        .with("collections", format!("l{}1:ae", text(1_026)))
        .with("comment", "65537:".to_owned() + &"é".repeat(32_768) + "x")
        .with("info", Forge::single().render())
        .with("nodes", format!("l{}e", "l1:ai1ee".repeat(1_000)))
        .with("similar", format!("l{}e", "20:01234567890123456789".repeat(1_000)))
        .with("url-list", format!("l{}e", "1:x".repeat(1_000)))
        .render();
    let torrent = load(&bytes);
    assert_eq!((torrent.nodes().len(), torrent.similar().len()), (200, 200));
    assert_eq!((torrent.url_list().len(), torrent.collections()), (100, &["a".to_owned()][..]));
    assert_eq!(torrent.comment().map(str::len), Some(65_536));
}

#[test]
fn a_limit_of_the_callers_own_counts_the_bytes_of_the_file() {
    let bytes = Forge::single().torrent();
    let len = bytes.len() as u64;
    assert!(Torrent::parse_with(&bytes, len).is_ok());
    let error = Torrent::parse_with(&bytes, len - 1).unwrap_err();
    assert_eq!(error, TorrentError::FileTooLong { got: len, max: len - 1 });
}

/// `file tree` with long directories inside each other and this many empty files at the bottom.
fn deep_tree(depth: usize, files: usize) -> String {
    let down: String = (0..depth).map(|at| format!("240:{at:0>240}d")).collect();
    let names: String = (0..files).map(|at| format!("6:{at:06}d0:d6:lengthi0eee")).collect();
    format!("d{down}{names}{}e", "e".repeat(depth))
}

#[test]
fn a_few_long_directories_above_many_files_are_no_memory_bomb() {
    // 15 KB of directories, written out once for each file: 1,000 files are 15 MB.
    let sound = Forge::tree(&deep_tree(62, 1_000)).torrent();
    let torrent = load(&sound);
    let spelled: usize = torrent.files().iter().map(|f| f.path().as_os_str().len()).sum();
    assert!(spelled > 300 * sound.len() && spelled < PATH_TOTAL_LEN_MAX);
    let bomb = Forge::tree(&deep_tree(62, 5_000)).torrent();
    assert!(bomb.len() < 200_000);
    let error = Torrent::parse(&bomb).unwrap_err().to_string();
    assert!(error.contains("paths of at most 67108864 bytes together"), "{error}");
    let deeper = Forge::tree(&deep_tree(64, 1)).torrent();
    assert!(matches!(Torrent::parse(&deeper), Err(TorrentError::Path(_))));
}

#[test]
fn names_of_the_tree_are_cleaned_and_do_not_collide() {
    let leaf = "d0:d6:lengthi0eee";
    let tree = format!("d2:..d1:a{leaf}e1:A{leaf}1:a{leaf}1:/{leaf}1:\\{leaf}e");
    let torrent = load(&Forge::tree(&tree).torrent());
    let paths: Vec<_> = torrent.files().iter().map(|f| f.path().to_str().unwrap()).collect();
    assert_eq!(paths, ["dir/__/a", "dir/A", "dir/a.1", "dir/_", "dir/_.1"]);
}
