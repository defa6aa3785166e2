//! Proofs for peers out of layers that are known whole (BEP 52, hash request).

use std::collections::BTreeMap;

use crate::base::digest::Sha256;
use crate::base::ids::FileIndex;
use crate::content::merkle;
use crate::content::merkle::HashRange;

/// Nodes under one top.
const PART_LEN: usize = 512;
/// log2 of it.
const PART_LEVEL: u32 = 9;
/// Parts whose top is computed per request: 8,192 nodes, which take about 1 ms.
const PARTS_PER_REQUEST: usize = 16;

/// For each layer that was asked for, the nodes nine layers above it. They make the proof for any
/// part of a layer of two million pieces a matter of some thousand hashes.
#[derive(Debug, Default)]
pub(crate) struct Proofs {
    tops: BTreeMap<FileIndex, Vec<Sha256>>,
}

impl Proofs {
    /// The answer to a request for a part of `layer`, which is the layer `range.base` of the file's
    /// tree of `height` layers. `None`: there is no such part, or the layer is so long that its
    /// tops are not all known yet; each request adds some.
    pub(crate) fn prove(
        &mut self,
        file: FileIndex,
        layer: &[Sha256],
        height: u32,
        range: HashRange,
    ) -> Option<Vec<Sha256>> {
        if !range.fits(height) || range.length as usize > PART_LEN {
            return None;
        }
        if layer.len() <= PART_LEN {
            return merkle::prove(layer, height, range);
        }
        let part = range.index as usize / PART_LEN;
        let rest = range.proof_layers.checked_sub(PART_LEVEL);
        let inner = HashRange {
            index: range.index % PART_LEN as u32,
            proof_layers: range.proof_layers.min(PART_LEVEL - 1),
            ..range
        };
        let nodes = part_of(layer, part);
        let mut hashes = merkle::prove(nodes, range.base + PART_LEVEL, inner)?;
        if let Some(proof_layers) = rest {
            let tops = self.tops(file, layer, range.base)?;
            let base = range.base + PART_LEVEL;
            let outer = HashRange { base, index: part as u32, length: 1, proof_layers };
            // The first one is the top itself, which the nodes give.
            hashes.extend(merkle::prove(tops, height, outer)?.into_iter().skip(1));
        }
        Some(hashes)
    }

    fn tops(&mut self, file: FileIndex, layer: &[Sha256], base: u32) -> Option<&[Sha256]> {
        let tops = self.tops.entry(file).or_default();
        let count = layer.len().div_ceil(PART_LEN);
        for _ in 0..PARTS_PER_REQUEST.min(count.saturating_sub(tops.len())) {
            let nodes = part_of(layer, tops.len());
            tops.push(merkle::root_above(nodes, base, PART_LEN as u32));
        }
        (tops.len() == count).then_some(tops)
    }
}

/// Empty behind the end of the layer, where all is padding.
fn part_of(layer: &[Sha256], part: usize) -> &[Sha256] {
    let start = part.saturating_mul(PART_LEN).min(layer.len());
    layer.get(start..layer.len().min(start.saturating_add(PART_LEN))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(count: u32) -> Vec<Sha256> {
        (0..count).map(|number| Sha256::of(&number.to_be_bytes())).collect()
    }

    #[test]
    fn a_proof_in_two_steps_is_the_proof_in_one() {
        for (count, base) in [(2, 0), (512, 3), (513, 0), (5_000, 6)] {
            let layer = layer(count);
            let height = base + merkle::height(layer.len());
            let mut proofs = Proofs::default();
            for (index, length) in [(0, 2), (0, 512), (512, 512), (512, 1), (1024, 4), (4608, 512)]
            {
                for proof_layers in 0..14 {
                    let range = HashRange { base, index, length, proof_layers };
                    let expected = merkle::prove(&layer, height, range);
                    let got = proofs.prove(FileIndex(0), &layer, height, range);
                    assert_eq!(got, expected, "{count} {range:?}");
                }
            }
        }
    }

    #[test]
    fn padding_alone_is_proved_too() {
        let layer = layer(1025);
        let root = merkle::root_above(&layer, 0, 1);
        let range = HashRange { base: 0, index: 1536, length: 512, proof_layers: 10 };
        let hashes = Proofs::default().prove(FileIndex(0), &layer, 11, range).unwrap();
        assert!(merkle::verify(&hashes, root, 11, range));
    }

    #[test]
    fn a_very_long_layer_is_prepared_by_and_by() {
        let layer = layer(3 * 8192);
        let mut proofs = Proofs::default();
        let range = HashRange { base: 0, index: 0, length: 512, proof_layers: 14 };
        let mut prove = || proofs.prove(FileIndex(0), &layer, 15, range);
        assert_eq!((prove(), prove()), (None, None));
        assert!(merkle::verify(&prove().unwrap(), merkle::root(&layer, 1), 15, range));
    }
}
