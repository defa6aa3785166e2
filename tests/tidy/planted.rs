//! Plants each fault once: a rule that reports nothing is not a rule.

use crate::source::code_only;
use crate::tree::Tree;
use crate::violations;

fn tree() -> Tree {
    Tree::new([
        "src/base/ids.rs",
        "src/base/mod.rs",
        "src/engine/alert.rs",
        "src/engine/command.rs",
        "src/engine/mod.rs",
        "src/engine/peer/mod.rs",
        "src/engine/peer/pipeline.rs",
        "src/engine/peer/queue.rs",
        "src/engine/swarm/mod.rs",
    ])
}

/// The only complaint about `code` at `path`; the opening line is added.
fn only_complaint(path: &str, code: &str) -> String {
    let mut found = violations(&tree(), path, &format!("//! Planted.\n{code}"));
    assert_eq!(found.len(), 1, "one complaint about {code:?}, got {found:?}");
    found.remove(0)
}

fn assert_clean(path: &str, code: &str) {
    let found = violations(&tree(), path, &format!("//! Planted.\n{code}"));
    assert!(found.is_empty(), "no complaint about {code:?}, got {found:?}");
}

#[test]
fn an_upward_import_is_reported_with_file_line_and_remedy() {
    let found = only_complaint("src/codec/peer.rs", "\nuse crate::engine::alert::Alert;\n");
    assert!(found.starts_with("src/codec/peer.rs:3: `codec` uses `crate::engine::alert::Alert`"));
    assert!(found.ends_with("it may use only [base]; emit an event instead"), "{found}");
}

#[test]
fn floors_below_may_be_used_and_floors_above_may_not() {
    assert_clean("src/session/torrent.rs", "use crate::io::shard::Shard;");
    assert_clean("src/sim/net.rs", "use crate::engine::Engine;");
    assert_clean("src/lib.rs", "pub use crate::session::Session;");
    for (path, floor) in [
        ("src/base/ids.rs", "codec"),
        ("src/content/layout.rs", "engine"),
        ("src/engine/peer/mod.rs", "io"),
        ("src/io/shard.rs", "session"),
        ("src/sim/net.rs", "io"),
        ("src/sim/net.rs", "session"),
        ("src/session/mod.rs", "sim"),
        ("src/engine/peer/mod.rs", "Session"),
    ] {
        let found = only_complaint(path, &format!("fn f() {{ crate::{floor}::go(); }}"));
        assert!(found.contains(&format!("uses `crate::{floor}::go`")), "{found}");
    }
}

#[test]
fn an_upward_import_in_a_test_module_is_reported_too() {
    let code = "#[cfg(test)]\nmod tests {\n    use crate::sim::Net;\n}\n";
    assert!(only_complaint("src/engine/peer/mod.rs", code).contains("mod.rs:4: `engine` uses"));
}

#[test]
fn a_sideways_import_inside_a_floor_is_reported() {
    for (path, import, why) in [
        ("src/engine/alert.rs", "engine::command::Command", "`command` comes after `alert`"),
        ("src/engine/command.rs", "engine::peer::Peer", "loose files stand before"),
        ("src/engine/peer/mod.rs", "engine::swarm::Swarm", "`swarm` comes after `peer`"),
        ("src/engine/peer/mod.rs", "engine::Engine", "`Engine` is of src/engine/mod.rs"),
        ("src/engine/peer/pipeline.rs", "engine::peer::queue::Queue", "`queue` comes after"),
        ("src/engine/peer/queue.rs", "engine::peer::Peer", "`Peer` is of src/engine/peer/mod.rs"),
        ("src/engine/peer/queue.rs", "engine", "src/engine/mod.rs stands above"),
    ] {
        let found = only_complaint(path, &format!("use crate::{import};"));
        assert!(found.contains(why), "{found}");
    }
}

#[test]
fn what_stands_above_inside_a_floor_may_be_used() {
    for (path, import) in [
        ("src/engine/mod.rs", "engine::swarm::Swarm"),
        ("src/engine/command.rs", "engine::alert::Alert"),
        ("src/engine/peer/queue.rs", "engine::command::Command"),
        ("src/engine/peer/queue.rs", "engine::peer::pipeline::Pipeline"),
        ("src/engine/peer/mod.rs", "engine::peer::queue::Queue"),
        ("src/engine/swarm/mod.rs", "engine::peer::Peer"),
    ] {
        assert_clean(path, &format!("use crate::{import};"));
    }
    let code = "#[cfg(test)]\nmod tests {\n    use crate::engine::swarm::Swarm;\n}\n";
    assert_clean("src/engine/alert.rs", code);
    assert_clean("src/engine/alert.rs", "pub(in crate::engine) fn f() {}");
}

#[test]
fn paths_that_cannot_be_followed_are_reported() {
    let code = "use super::command::Command;";
    assert!(only_complaint("src/engine/alert.rs", code).contains("by way of `super`"));
    let code = "#[cfg(test)]\nmod tests {\n    use super::super::x;\n}\n";
    assert!(only_complaint("src/engine/alert.rs", code).contains("by way of `super`"));
    let code = "#[path = \"other.rs\"]\nmod other;";
    assert!(only_complaint("src/bin/coreswarm/main.rs", code).contains("under another name"));
    assert_clean("src/engine/alert.rs", "#[cfg(test)]\nmod tests {\n    use super::*;\n}\n");
    assert!(only_complaint("src/gui/mod.rs", "").contains("`gui` is no floor"));
}

#[test]
fn runtime_words_outside_their_places_are_reported() {
    for (path, code) in [
        ("src/engine/peer/mod.rs", "use glommio::LocalExecutor;"),
        ("src/session/mod.rs", "io_uring::opcode::Nop::new();"),
        ("src/base/ids.rs", "unsafe { libc() }"),
        ("src/engine/peer/mod.rs", "fn f() { libc::getpid(); }"),
        ("src/sim/net.rs", "async fn f() {}"),
        ("src/bin/coreswarm/get.rs", "future.await;"),
        ("src/session/mod.rs", "let s: std::net::TcpStream;"),
        ("src/codec/metainfo.rs", "use std::fs;"),
        ("src/engine/alert.rs", "let t = Instant::now();"),
        ("src/session/mod.rs", "let t = SystemTime::UNIX_EPOCH;"),
        ("src/session/mod.rs", "std::thread::spawn(run);"),
        ("src/engine/alert.rs", "use std::thread::JoinHandle;"),
        ("src/io/shard.rs", "eprintln!(\"shard {n} is up\");"),
        ("src/engine/alert.rs", "#[cfg(test)]\nmod tests {\n    use std::fs;\n}\n"),
    ] {
        let found = violations(&tree(), path, &format!("//! Planted.\n{code}"));
        assert!(!found.is_empty(), "a complaint about {code:?} in {path}");
    }
    let found = only_complaint("src/engine/peer/mod.rs", "use glommio::LocalExecutor;");
    assert!(found.contains(":2: `glommio` outside src/io/;"), "{found}");
}

#[test]
fn runtime_words_in_their_places_and_in_prose_are_fine() {
    assert_clean("src/io/shard.rs", "async fn f() { unsafe { libc::close(0) }; }");
    assert_clean("src/base/digest_lanes.rs", "unsafe { lanes() }");
    assert_clean("src/session/mod.rs", "use std::thread::JoinHandle;");
    assert_clean("src/bin/coreswarm/demo.rs", "let bytes = std::fs::read(path);");
    assert_clean("src/bin/coreswarm/control.rs", "future.await;");
    assert_clean("src/engine/alert.rs", "// unlike glommio\nlet x = \"libc\"; /* async */");
    assert_clean("src/engine/alert.rs", "let is_async_word = unsafe_looking;");
    assert_clean("tests/interop.rs", "use std::fs;");
}

#[test]
fn a_file_of_501_lines_is_reported_and_its_tests_do_not_count() {
    let code = "fn f() {}\n".repeat(500);
    let found = only_complaint("src/engine/alert.rs", &code);
    assert!(found.contains("501 lines before the tests, allowed 500"), "{found}");
    let half = "fn f() {}\n".repeat(400);
    let tests = format!("{half}#[cfg(test)]\nmod tests {{\n{}}}\n", "    fn f() {}\n".repeat(400));
    assert_clean("src/engine/alert.rs", &tests);
    assert_clean("src/engine/peer/tests.rs", &code);
    assert_clean("src/engine/peer/model.rs", &format!("#![cfg(test)]\n{code}"));
}

#[test]
fn wide_lines_brace_imports_and_missing_openings_are_reported() {
    let wide = format!("// {}", "é".repeat(98));
    assert!(only_complaint("src/engine/alert.rs", &wide).contains(":2: 101 columns, allowed 100"));
    assert_clean("src/engine/alert.rs", &wide.replacen('é', "", 1));
    for code in ["use std::{fmt, io};", "pub(crate) use std::\n    {fmt};", "    use a::{b};"] {
        assert!(only_complaint("tests/x.rs", code).contains("several paths in one import"));
    }
    assert_clean("tests/x.rs", "use std::fmt;\nfn f() -> impl Fn() + use<> {\n}");
    let found = violations(&tree(), "src/engine/alert.rs", "use std::fmt;\n");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("src/engine/alert.rs:1: the file does not open with"));
}

#[test]
fn unfinished_work_is_reported() {
    for code in ["#[ignore]", "#[ignore = \"slow\"]", "todo!()", "unimplemented!()", "dbg!(x);"] {
        only_complaint("src/engine/alert.rs", code);
    }
    let behind = "#[cfg(test)]\nmod tests {\n}\nfn f() {}\n";
    assert!(only_complaint("src/engine/alert.rs", behind).contains(":5: code behind the test"));
}

#[test]
fn an_id_that_rustdoc_takes_for_a_link_is_reported() {
    let code = "/// Never freed in flight [A14].\nfn f() {}\n";
    assert!(only_complaint("src/engine/alert.rs", code).contains("in parentheses"));
    assert_clean("src/engine/alert.rs", "// As [A14] asks.\n/// A [`Layout`], (A14), `a[0]`.\n");
}

#[test]
fn a_piece_index_made_past_the_layout_is_reported() {
    let code = "let piece = PieceIndex::from_layout(3);";
    assert!(only_complaint("src/engine/alert.rs", code).contains("ask `Layout` for it"));
    assert_clean("src/content/layout.rs", code);
    let tests = format!("#[cfg(test)]\nmod tests {{\n    {code}\n}}\n");
    assert_clean("src/engine/alert.rs", &tests);
}

#[test]
fn a_module_that_is_file_and_folder_is_reported() {
    let tree = Tree::new(["src/engine/peer.rs", "src/engine/peer/queue.rs"]);
    assert_eq!(tree.violations().len(), 1);
    let tree = Tree::new(["src/engine/peer.rs", "src/engine/peer/bad_tests.rs"]);
    assert!(tree.violations().is_empty());
}

#[test]
fn literals_and_comments_are_blanked_in_place() {
    for (text, code) in [
        ("a /* b /* c */ d */ e", "a                   e"),
        ("a // b\nc", "a     \nc"),
        ("f(\"a\\\"b\", 'x', '\\'')", "f(      ,    ,     )"),
        ("r#\"a\"b\"# + br\"c\" + r#type", "         +       + r#type"),
        ("fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)"),
        ("\"two\nlines\" x", "    \n       x"),
    ] {
        assert_eq!(code_only(text), code, "{text:?}");
    }
}
