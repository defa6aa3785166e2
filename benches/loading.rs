//! What loading a large .torrent costs: `cargo bench --bench loading`.
//!
//! Each torrent is written to a temporary directory and loaded by a process of its own, five times.
//! A line says the least CPU time (a core's work may be disturbed, never helped) and how much the
//! process grew at its peak, the bytes of the file included, beside the size of the file.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context;
use anyhow::Result;
use coreswarm::Torrent;
use coreswarm::read_torrent_file_with;
use sha2::Digest;
use sha2::Sha256;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const RUNS: usize = 5;
/// The default limit, and one that a caller may choose.
const LIMITS: [u64; 2] = [64 * MIB, 128 * MIB];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    if !arguments.iter().any(|argument| argument == "--bench" || argument == "--load") {
        // `cargo test --all-targets` runs benches too, unoptimised: figures of no use.
        println!("figures only under `cargo bench --bench loading`");
        return Ok(());
    }
    match arguments.iter().position(|argument| argument == "--load") {
        Some(at) => load(&arguments[at + 1], arguments[at + 2].parse()?),
        None => measure(),
    }
}

/// The child: loads one file and says what it took.
fn load(path: &str, max: u64) -> Result<()> {
    let (cpu, memory) = (cpu_nanos()?, memory_kib("VmRSS")?);
    let outcome = read_torrent_file_with(path, max);
    let outcome = outcome
        .map_err(|error| error.to_string())
        .and_then(|bytes| Torrent::parse_with(&bytes, max).map_err(|error| error.to_string()));
    let (cpu, memory) = (cpu_nanos()? - cpu, memory_kib("VmHWM")?.saturating_sub(memory));
    let what = match &outcome {
        Ok(torrent) => format!("{} pieces, {} files", torrent.piece_count(), torrent.files().len()),
        Err(error) => format!("refused: {}", error.rsplit(": ").next().unwrap_or_default()),
    };
    println!("{cpu} {memory} {what}");
    Ok(())
}

fn measure() -> Result<()> {
    let directory = tempfile::tempdir()?;
    println!("{:34} {:>9} {:>9} {:>11}", "torrent", "size", "CPU", "peak memory");
    let cases: [(&str, Vec<u8>, u64); 8] = [
        ("400,000 pieces, v1", pieces_v1(400_000), LIMITS[0]),
        ("400,000 pieces, v2", pieces_v2(400_000, false), LIMITS[0]),
        ("400,000 pieces, hybrid", pieces_v2(400_000, true), LIMITS[0]),
        ("50,000 files, v1", files(50_000, File::v1), LIMITS[0]),
        ("50,000 files, v2", files(50_000, File::v2), LIMITS[0]),
        ("100 MB, hybrid, limit 64 MiB", pieces_v2((1 << 21) - 100_000, true), LIMITS[0]),
        ("100 MB, hybrid, limit 128 MiB", pieces_v2((1 << 21) - 100_000, true), LIMITS[1]),
        ("330,000 files, v1", files(330_000, File::v1), LIMITS[0]),
    ];
    for (name, bytes, max) in cases {
        let path = directory.path().join("one.torrent");
        fs::write(&path, &bytes)?;
        let size = bytes.len() as f64 / MIB as f64;
        drop(bytes);
        let (cpu, memory, what) = best(&path, max)?;
        let (cpu, memory) = (cpu as f64 / 1e6, memory as f64 / KIB as f64);
        println!("{name:34} {size:5.1} MiB {cpu:6.1} ms {memory:7.1} MiB  {what}");
    }
    Ok(())
}

fn best(path: &Path, max: u64) -> Result<(u64, u64, String)> {
    let mut best = (u64::MAX, 0, String::new());
    for _ in 0..RUNS {
        let child = Command::new(std::env::current_exe()?)
            .args([Path::new("--load"), path, Path::new(&max.to_string())])
            .output()?;
        let line = String::from_utf8(child.stdout)?;
        let mut words = line.trim().splitn(3, ' ');
        let cpu = words.next().context("CPU time")?.parse()?;
        let memory: u64 = words.next().context("memory")?.parse()?;
        best = (best.0.min(cpu), best.1.max(memory), words.next().unwrap_or_default().to_owned());
    }
    Ok(best)
}

/// Time that this thread, the only one, has run.
fn cpu_nanos() -> Result<u64> {
    let text = fs::read_to_string("/proc/self/schedstat")?;
    Ok(text.split(' ').next().context("the first number")?.parse()?)
}

fn memory_kib(key: &str) -> Result<u64> {
    let text = fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find(|line| line.starts_with(key)).context("a figure of memory")?;
    Ok(line.split_whitespace().nth(1).context("its number")?.parse()?)
}

/// One file in pieces of 16 KiB, with hashes of any value.
fn pieces_v1(count: usize) -> Vec<u8> {
    let length = count as u64 * 16 * KIB;
    let head = format!("d4:infod6:lengthi{length}e4:name1:a12:piece lengthi16384e6:pieces");
    [head.into_bytes(), string(&vec![7; count * 20]), b"ee".to_vec()].concat()
}

/// One file in pieces of 16 KiB with its layer, and with v1 hashes if it is a hybrid.
fn pieces_v2(count: usize, is_hybrid: bool) -> Vec<u8> {
    let length = count as u64 * 16 * KIB;
    let layer: Vec<u8> = (0..count).flat_map(|at| Sha256::digest(at.to_le_bytes())).collect();
    let root = root(&layer);
    let tree = format!("9:file treed1:ad0:d6:lengthi{length}e11:pieces root");
    let tree = [tree.into_bytes(), string(&root), b"eee".to_vec()].concat();
    let (own, hashes) = match is_hybrid {
        true => (
            format!("6:lengthi{length}e").into_bytes(),
            [b"6:pieces".to_vec(), string(&vec![7; count * 20])].concat(),
        ),
        false => Default::default(),
    };
    let rest = b"12:meta versioni2e4:name1:a12:piece lengthi16384e".to_vec();
    let info = [b"d4:infod".to_vec(), tree, own, rest, hashes, b"e".to_vec()].concat();
    let layers = [b"12:piece layersd".to_vec(), string(&root), string(&layer)].concat();
    [info, layers, b"ee".to_vec()].concat()
}

/// The root over nodes that are leaves, because a piece is a block.
fn root(layer: &[u8]) -> [u8; 32] {
    let (mut nodes, mut filler): (Vec<u8>, [u8; 32]) = (layer.to_vec(), [0; 32]);
    while nodes.len() > 32 {
        nodes.extend(if nodes.len() % 64 == 32 { &filler[..] } else { &[] });
        nodes = nodes.chunks(64).flat_map(Sha256::digest).collect();
        filler = Sha256::digest([filler, filler].concat()).into();
    }
    nodes.try_into().unwrap_or(filler)
}

/// How a file is written.
struct File {
    list: &'static str,
    entry: fn(usize) -> Vec<u8>,
    rest: fn(usize) -> Vec<u8>,
}

impl File {
    fn v1() -> File {
        let entry = |at: usize| {
            let name = string(name(at).as_bytes());
            let folder = format!("d6:lengthi5e4:pathl6:folder5:f{:04}", at / 100);
            [folder.into_bytes(), name, b"ee".to_vec()].concat()
        };
        let rest = |count: usize| {
            let hashes = vec![7; (count * 5).div_ceil(16_384) * 20];
            [b"6:pieces".to_vec(), string(&hashes)].concat()
        };
        File { list: "5:filesl", entry, rest }
    }

    fn v2() -> File {
        let entry = |at: usize| {
            let file = b"d0:d6:lengthi5e11:pieces root".to_vec();
            let root = string(&Sha256::digest(at.to_le_bytes()));
            let leaf = [string(name(at).as_bytes()), file, root, b"ee".to_vec()].concat();
            match at % 100 {
                0 => [format!("5:f{:04}d", at / 100).into_bytes(), leaf].concat(),
                99 => [leaf, b"e".to_vec()].concat(),
                _ => leaf,
            }
        };
        File { list: "9:file treed", entry, rest: |_| b"12:meta versioni2e".to_vec() }
    }
}

/// Like those of a camera, which most large collections hold.
fn name(at: usize) -> String {
    format!("IMG_20261121_{at:06}_burst of something.jpeg")
}

/// Many small files in folders of a hundred.
fn files(count: usize, version: fn() -> File) -> Vec<u8> {
    let File { list, entry, rest } = version();
    let mut bytes = format!("d4:infod{list}").into_bytes();
    (0..count).for_each(|at| bytes.extend(entry(at)));
    bytes.extend(b"e4:name3:dir12:piece lengthi16384e");
    bytes.extend(rest(count));
    bytes.extend(b"ee");
    bytes
}

fn string(bytes: &[u8]) -> Vec<u8> {
    [format!("{}:", bytes.len()).as_bytes(), bytes].concat()
}
