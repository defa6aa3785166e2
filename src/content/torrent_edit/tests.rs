//! Edits of .torrent files: what changes, and that nothing else does.

use super::*;

const INFO: &str = "d6:lengthi5e4:name4:five12:piece lengthi16384e6:pieces20:aaaaabbbbbcccccddddd\
                    7:unknownl1:x1:yee";

/// Sorted root keys around `INFO`, with values that nobody knows.
fn file() -> Vec<u8> {
    format!("d8:announce10:http://a/b7:comment3:old4:info{INFO}7:unknown1:z3:zzzd1:bi1e1:ai2eee")
        .into_bytes()
}

fn edited(edit: TorrentEdit) -> (String, bool) {
    let edited = edit.apply(&file()).unwrap();
    let is_same = edited.before == edited.after;
    (String::from_utf8(edited.bytes).unwrap(), is_same)
}

#[test]
fn nothing_asked_for_is_nothing_changed() {
    let edit = TorrentEdit::new();
    assert_eq!(edit.apply(&file()).unwrap().bytes, file());
    let same = edit.private(false).source("").comment("old").add_tracker("http://a/b");
    let (bytes, is_same) = edited(same);
    assert_eq!((bytes.as_bytes(), is_same), (&file()[..], true));
}

#[test]
fn trackers_web_seeds_and_comment_change_beside_bytes_that_stay() {
    let edit =
        TorrentEdit::new().add_tracker("udp://c:1").add_web_seed("http://w/").comment("new one");
    let (bytes, is_same) = edited(edit);
    let expected = format!(
        "d8:announce10:http://a/b13:announce-listll10:http://a/bel9:udp://c:1ee7:comment7:new one\
         4:info{INFO}7:unknown1:z8:url-listl9:http://w/e3:zzzd1:bi1e1:ai2eee"
    );
    assert_eq!(bytes, expected);
    assert!(is_same);
}

#[test]
fn removing_the_last_leaves_no_key_behind() {
    let edit = TorrentEdit::new().remove_tracker("http://a/b").comment("");
    let (bytes, _) = edited(edit);
    assert_eq!(bytes, format!("d4:info{INFO}7:unknown1:z3:zzzd1:bi1e1:ai2eee"));
}

#[test]
fn all_trackers_may_be_set_anew_before_others_come_and_go() {
    let tiers = vec![vec!["http://x/".into(), "http://y/".into()], vec!["http://z/".into()]];
    let edit = TorrentEdit::new()
        .trackers(tiers)
        .remove_tracker("http://z/")
        .add_tracker("http://x/")
        .add_tracker("http://n/")
        .web_seeds(vec!["http://w/1".into(), "http://w/2".into()])
        .remove_web_seed("http://w/1");
    let torrent = Torrent::parse(&edit.apply(&file()).unwrap().bytes).unwrap();
    assert_eq!(torrent.trackers(), [vec!["http://x/", "http://y/"], vec!["http://n/"]]);
    assert_eq!(torrent.url_list(), ["http://w/2"]);
}

#[test]
fn source_and_private_change_the_name_of_the_torrent_and_nothing_else_in_it() {
    let edited = TorrentEdit::new().source("there").private(true).apply(&file()).unwrap();
    assert_ne!(edited.before, edited.after);
    let torrent = Torrent::parse(&edited.bytes).unwrap();
    assert!(torrent.is_private());
    assert_eq!(torrent.info_hashes(), edited.after);
    let info = INFO.replace("7:unknown", "7:privatei1e6:source5:there7:unknown");
    assert_eq!(torrent.info_bytes(), info.as_bytes());
    // And back: the same torrent as before.
    let back = TorrentEdit::new().source("").private(false).apply(&edited.bytes).unwrap();
    assert_eq!((back.after, &back.bytes[..]), (edited.before, &file()[..]));
}

#[test]
fn unsorted_and_doubled_keys_outside_info_do_no_harm() {
    let odd = format!("d1:z1:q4:info{INFO}8:announce9:http://x/8:announce9:http://y/e \n");
    let edited = TorrentEdit::new().add_tracker("http://n/").apply(odd.as_bytes()).unwrap();
    let expected = format!(
        "d8:announce9:http://x/13:announce-listll9:http://x/el9:http://n/ee4:info{INFO}1:z1:qe"
    );
    assert_eq!(String::from_utf8(edited.bytes).unwrap(), expected);
}

#[test]
fn what_readers_would_not_take_is_refused() {
    let url = |got: &str| EditError::Url { got: got.to_owned() };
    let long = format!("http://{}", "x".repeat(2_042));
    for bad in ["", "nonsense", "http://a b/", "://x", "http://a/\n", &long] {
        let edits = [
            TorrentEdit::new().add_tracker(bad),
            TorrentEdit::new().add_web_seed(bad),
            TorrentEdit::new().trackers(vec![vec![bad.to_owned()]]),
        ];
        for edit in edits {
            assert_eq!(edit.apply(&file()), Err(url(bad)));
        }
    }
    let absent = |what| EditError::NotThere { what, url: "http://no/".to_owned() };
    let edit = TorrentEdit::new().remove_tracker("http://no/");
    assert_eq!(edit.apply(&file()), Err(absent("tracker")));
    let edit = TorrentEdit::new().remove_web_seed("http://no/");
    assert_eq!(edit.apply(&file()), Err(absent("web seed")));
    let many = |count| (0..count).map(|n| vec![format!("http://h{n}/")]).collect();
    assert!(TorrentEdit::new().trackers(many(200)).apply(&file()).is_ok());
    let refused = TorrentEdit::new().trackers(many(201)).apply(&file());
    assert_eq!(refused, Err(EditError::TooMany { what: "tracker", max: 200 }));
    assert!(matches!(TorrentEdit::new().apply(b"junk"), Err(EditError::Torrent(_))));
}
