//! Bencode decoder: exact errors, odd but valid input, and bendy as the oracle of canonical data.

use bendy::decoding::Decoder as Oracle;
use bendy::encoding::Encoder;
use bendy::encoding::SingleItemEncoder;
use bendy::state_tracker::Token as OracleToken;
use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::prop_assert;
use proptest::prop_assert_eq;
use proptest::prop_oneof;
use proptest::proptest;

use super::*;

const LIMITS: Limits = Limits { depth: 10, tokens: 1000 };

fn fails(bytes: &[u8]) -> (usize, Kind) {
    let error = Document::parse(bytes, LIMITS).unwrap_err();
    (error.offset, error.kind)
}

#[test]
fn values_know_their_kind_and_their_span() {
    let bytes = b"d1:ai-3e1:bl2:hi0:e1:cd1:xi0eee";
    let document = Document::parse(bytes, LIMITS).unwrap();
    let root = document.root();
    assert_eq!(root.get(b"a").and_then(|v| v.as_int()), Some(-3));
    assert_eq!(root.get(b"a").and_then(|v| v.as_u64()), None);
    let list: Vec<_> = root.get(b"b").unwrap().as_list().unwrap().collect();
    assert_eq!(list.iter().filter_map(|v| v.as_str()).collect::<Vec<_>>(), ["hi", ""]);
    let inner = root.get(b"c").unwrap();
    assert_eq!((inner.raw(), inner.span()), (&b"d1:xi0ee"[..], 22..30));
    assert_eq!(inner.get(b"x").and_then(|v| v.as_int()), Some(0));
    assert!(root.get(b"d").is_none() && inner.as_list().is_none() && inner.as_bytes().is_none());
    assert!(list[0].as_int().is_none() && !list[0].is_dict() && root.is_dict());
    assert_eq!(root.as_dict().unwrap().map(|(key, _)| key).collect::<Vec<_>>(), [b"a", b"b", b"c"]);
}

#[test]
fn extreme_integers_are_read_exactly() {
    for number in [0, 1, -1, i64::MAX, i64::MIN] {
        let bytes = format!("i{number}e");
        let document = Document::parse(bytes.as_bytes(), LIMITS).unwrap();
        assert_eq!(document.root().as_int(), Some(number));
    }
    assert_eq!(fails(b"i9223372036854775808e"), (0, Kind::IntegerTooLarge));
    assert_eq!(fails(b"i-9223372036854775809e"), (0, Kind::IntegerTooLarge));
    assert_eq!(fails(b"i99999999999999999999999999999999e"), (0, Kind::IntegerTooLarge));
}

#[test]
fn integers_and_lengths_have_one_form() {
    for bytes in
        [&b"i-0e"[..], b"i00e", b"i01e", b"i-01e", b"ie", b"i-e", b"i+1e", b"i 1e", b"i1.0e"]
    {
        assert_eq!(fails(bytes), (0, Kind::BadInteger), "{}", bytes.escape_ascii());
    }
    assert_eq!(fails(b"i--1e"), (0, Kind::BadInteger));
    assert_eq!(fails(b"i1xxxxxxxxxxxxxxxxxxxxxxxxxxxxe"), (0, Kind::BadInteger));
    assert_eq!(fails(b"l01:ae"), (1, Kind::BadLength));
    assert_eq!(fails(b"00:"), (0, Kind::BadLength));
    assert_eq!(fails(b"1;a"), (0, Kind::BadLength));
    assert_eq!(fails(b"123456789012:a"), (0, Kind::BadLength));
}

#[test]
fn errors_name_the_byte() {
    assert_eq!(fails(b""), (0, Kind::Truncated));
    assert_eq!(fails(b"i12"), (0, Kind::Truncated));
    assert_eq!(fails(b"4:abc"), (0, Kind::Truncated));
    assert_eq!(fails(b"4"), (0, Kind::Truncated));
    assert_eq!(fails(b"9999999999:"), (0, Kind::Truncated));
    assert_eq!(fails(b"l1:a"), (4, Kind::Truncated));
    assert_eq!(fails(b"d1:a"), (4, Kind::Truncated));
    assert_eq!(fails(b"d1:ae"), (4, Kind::KeyWithoutValue));
    assert_eq!(fails(b"di1e1:ae"), (1, Kind::KeyNotAString));
    assert_eq!(fails(b"dlei1ee"), (1, Kind::KeyNotAString));
    assert_eq!(fails(b"lxe"), (1, Kind::NotAValue));
    assert_eq!(fails(b"e"), (0, Kind::NotAValue));
    assert_eq!(fails(b"-1:a"), (0, Kind::NotAValue));
    assert_eq!(fails(b"i1ei2e"), (3, Kind::TrailingBytes));
    assert_eq!(fails(b"de\n"), (2, Kind::TrailingBytes));
}

#[test]
fn a_prefix_ends_where_the_value_ends() {
    let (document, used) = Document::parse_prefix(b"d1:ai1ee\xff\xffpayload", LIMITS).unwrap();
    assert_eq!((used, document.root().raw()), (8, &b"d1:ai1ee"[..]));
}

#[test]
fn depth_and_tokens_are_bounded_exactly() {
    let nest = |depth: usize| [vec![b'l'; depth], vec![b'e'; depth]].concat();
    assert!(Document::parse(&nest(10), LIMITS).is_ok());
    assert_eq!(fails(&nest(11)), (10, Kind::TooDeep));
    assert_eq!(fails(&[b'd'; 100]), (1, Kind::KeyNotAString));
    assert_eq!(fails(&vec![b'l'; 1_000_000]), (10, Kind::TooDeep));
    let wide = |count: usize| [b"l".to_vec(), b"0:".repeat(count), b"e".to_vec()].concat();
    assert!(Document::parse(&wide(999), LIMITS).is_ok());
    assert_eq!(fails(&wide(1000)), (1 + 2 * 999, Kind::TooManyTokens));
}

#[test]
fn unsorted_keys_are_read_and_repeated_keys_are_found() {
    let duplicate = |bytes: &'static [u8]| {
        let document = Document::parse(bytes, LIMITS).unwrap();
        document.root().duplicate_key().map(|key| key.to_vec())
    };
    assert_eq!(duplicate(b"d1:bi1e1:ai2ee"), None);
    assert_eq!(duplicate(b"d1:ai1e1:bi2ee"), None);
    assert_eq!(duplicate(b"d1:ai1e1:ai2ee"), Some(b"a".to_vec()));
    assert_eq!(duplicate(b"d1:bi1e1:ai2e1:bi3ee"), Some(b"b".to_vec()));
    assert_eq!(duplicate(b"ld1:xd0:i1e0:i2eeee"), Some(b"".to_vec()), "at any depth");
    assert_eq!(duplicate(b"ld1:ai1eed1:ai1eee"), None, "in two dictionaries is fine");
    let document = Document::parse(b"d1:bi1e1:ai2e1:bi3ee", LIMITS).unwrap();
    assert_eq!(document.root().get(b"b").and_then(|v| v.as_int()), Some(1), "the first counts");
    assert_eq!(document.root().get(b"a").and_then(|v| v.as_int()), Some(2));
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Tree {
    Int(i64),
    Bytes(Vec<u8>),
    List(Vec<Tree>),
    Dict(std::collections::BTreeMap<Vec<u8>, Tree>),
}

fn tree() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(Tree::Int),
        (-2..200i64).prop_map(Tree::Int),
        proptest::collection::vec(any::<u8>(), 0..20).prop_map(Tree::Bytes),
    ];
    leaf.prop_recursive(5, 60, 8, |inner| {
        let key = proptest::collection::vec(any::<u8>(), 0..4);
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..8).prop_map(Tree::List),
            proptest::collection::btree_map(key, inner, 0..8).prop_map(Tree::Dict),
        ]
    })
}

fn emit(tree: &Tree, encoder: SingleItemEncoder<'_>) -> Result<(), bendy::encoding::Error> {
    match tree {
        Tree::Int(number) => encoder.emit_int(*number),
        Tree::Bytes(bytes) => encoder.emit_bytes(bytes),
        Tree::List(items) => {
            encoder.emit_list(|list| items.iter().try_for_each(|t| list.emit_with(|e| emit(t, e))))
        }
        Tree::Dict(pairs) => encoder.emit_dict(|mut dict| {
            pairs.iter().try_for_each(|(key, t)| dict.emit_pair_with(key, |e| emit(t, e)))
        }),
    }
}

fn encode(tree: &Tree) -> Vec<u8> {
    let mut encoder = Encoder::new().with_max_depth(10);
    encoder.emit_with(|e| emit(tree, e)).unwrap();
    encoder.get_output().unwrap()
}

fn read(value: Value<'_>) -> Tree {
    if let Some(number) = value.as_int() {
        Tree::Int(number)
    } else if let Some(bytes) = value.as_bytes() {
        Tree::Bytes(bytes.to_vec())
    } else if let Some(list) = value.as_list() {
        Tree::List(list.map(read).collect())
    } else {
        let pairs = value.as_dict().unwrap();
        Tree::Dict(pairs.map(|(key, value)| (key.to_vec(), read(value))).collect())
    }
}

/// Whether bendy reads `bytes` as one canonical value whose integers fit 64 bits.
fn oracle_accepts(bytes: &[u8]) -> bool {
    let mut depth = 0i32;
    let mut values = 0;
    for token in Oracle::new(bytes).with_max_depth(10).tokens() {
        match token {
            Ok(OracleToken::List | OracleToken::Dict) => depth += 1,
            Ok(OracleToken::End) => depth -= 1,
            Ok(OracleToken::Num(text)) if text.parse::<i64>().is_err() => return false,
            Ok(_) => {}
            Err(_) => return false,
        }
        values += i32::from(depth == 0);
    }
    depth == 0 && values == 1
}

proptest! {
    #[test]
    fn what_bendy_writes_is_read_back(tree in tree()) {
        let bytes = encode(&tree);
        let document = Document::parse(&bytes, LIMITS).unwrap();
        prop_assert_eq!(read(document.root()), tree);
        prop_assert_eq!(document.root().duplicate_key(), None);
        for cut in 0..bytes.len() {
            let kind = Document::parse(&bytes[..cut], LIMITS).unwrap_err().kind;
            prop_assert_eq!(kind, Kind::Truncated);
        }
    }

    #[test]
    fn what_bendy_accepts_we_accept(soup in "[0-3:ilde-]{0,12}") {
        let ours = Document::parse(soup.as_bytes(), LIMITS);
        if oracle_accepts(soup.as_bytes()) {
            prop_assert!(ours.is_ok(), "{soup}: {ours:?}");
        }
        // We accept more only where keys are unsorted or repeated.
        if let Ok(document) = &ours
            && !oracle_accepts(soup.as_bytes())
        {
            prop_assert!(!soup.is_empty() && soup.contains('d'), "{soup}: {:?}", document.root());
        }
    }

    #[test]
    fn a_damaged_document_is_judged_as_bendy_judges_it(
        tree in tree(), at in any::<usize>(), with in any::<u8>(),
    ) {
        let mut bytes = encode(&tree);
        let at = at % bytes.len();
        bytes[at] = with;
        let ours = Document::parse(&bytes, LIMITS);
        if oracle_accepts(&bytes) {
            prop_assert!(ours.is_ok(), "{}: {ours:?}", bytes.escape_ascii());
        }
        if let Ok(document) = ours {
            prop_assert_eq!(document.root().raw().len(), bytes.len());
            read(document.root());
        }
    }
}
