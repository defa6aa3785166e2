//! Many inputs at once, each in an element of vectors: both algorithms, over any vectors.

use crate::base::digest::State;
use crate::base::digest_lanes::operations::Operations;
use crate::base::digest_lanes::rounds::Rounds;

/// Adds as many blocks of every input to its state as the shortest has. Lanes without work take
/// any input. Nothing is asked for ahead: this many inputs keep the CPU's own prefetchers busy, and
/// asking costs 5 % for what is in the cache and gains nothing for what is not.
#[inline(always)]
pub(crate) fn compress<R: Rounds, O: Operations<LANES>, const LANES: usize>(
    operations: O,
    states: &mut [State; LANES],
    inputs: &[&[[u8; 64]]; LANES],
) {
    let count = inputs.iter().map(|input| input.len()).min().unwrap_or(0);
    // All of one length, so that the loop below has no bounds to look at.
    let inputs = inputs.map(|input| &input[..count]);
    let mut sums = [operations.splat(0); 8];
    for word in 0..R::WORDS {
        sums[word] = operations.gather(states.map(|state| state[word]));
    }
    for at in 0..count {
        let schedule = operations.load(inputs.map(|input| &input[at]));
        let state = R::run(operations, sums, schedule);
        for word in 0..R::WORDS {
            sums[word] = operations.add(sums[word], state[word]);
        }
    }
    for word in 0..R::WORDS {
        for (state, value) in states.iter_mut().zip(operations.scatter(sums[word])) {
            state[word] = value;
        }
    }
}
