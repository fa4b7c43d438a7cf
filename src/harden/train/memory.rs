//! What to do where a step needs more memory than the device has: the batch and patch that would fit,
//! found by trying smaller ones.

/// The smallest side of a crop that is tried, in LR pixels.
const LEAST_PATCH: usize = 8;

/// The largest batch, halved again and again, that `fits` with this patch; where not even one crop does,
/// the largest patch, halved likewise to a multiple of `multiple`, of which one does.
pub(super) fn fitting(
    [batch, patch]: [usize; 2],
    multiple: usize,
    fits: &mut dyn FnMut([usize; 2]) -> bool,
) -> Option<[usize; 2]> {
    let batches = halves(batch).map(|batch| [batch, patch]);
    let patches = halves(patch).map(|side| side / multiple * multiple).filter(|side| *side >= LEAST_PATCH);
    batches.chain(patches.map(|side| [1, side])).find(|&smaller| fits(smaller))
}

/// A half, a quarter and so on, down to 1.
fn halves(from: usize) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(from / 2), |value| Some(value / 2)).take_while(|value| *value > 0)
}

/// What to do next, in words.
pub(in crate::harden) fn advice(given: [usize; 2], found: Option<[usize; 2]>) -> String {
    match found {
        Some([batch, patch]) if patch == given[1] => format!("--batch {batch} fits"),
        Some([batch, patch]) => format!("--batch {batch} --patch {patch} fits"),
        None => {
            "not even one small crop fits: close what else uses the device, or train a smaller network".into()
        }
    }
}

/// Whether libtorch's message says that memory ran out.
pub(in crate::harden) fn ran_out(message: &str) -> bool {
    ["out of memory", "not enough memory", "can't allocate memory"].iter().any(|sign| message.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What fits where memory holds so many LR pixels.
    fn found(given: [usize; 2], multiple: usize, pixels: usize) -> Option<[usize; 2]> {
        fitting(given, multiple, &mut |[batch, patch]| batch * patch * patch <= pixels)
    }

    #[test]
    fn the_batch_shrinks_first_and_then_the_patch() {
        assert_eq!(found([16, 48], 1, 16 * 48 * 48 - 1), Some([8, 48]));
        assert_eq!(found([16, 48], 1, 3 * 48 * 48), Some([2, 48]));
        assert_eq!(found([16, 48], 1, 48 * 48), Some([1, 48]));
        assert_eq!(found([16, 48], 1, 600), Some([1, 24]));
        assert_eq!(found([1, 50], 8, 2000), Some([1, 24]));
        assert_eq!(found([16, 48], 1, 10), None);
        assert_eq!(found([1, 8], 1, 64), None);
    }

    #[test]
    fn advice_names_what_changes() {
        let given = [16, 48];
        assert_eq!(advice(given, Some([4, 48])), "--batch 4 fits");
        assert_eq!(advice(given, Some([1, 24])), "--batch 1 --patch 24 fits");
        assert!(advice(given, None).contains("a smaller network"));
    }

    #[test]
    fn libtorchs_messages_are_known() {
        assert!(ran_out("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of ..."));
        assert!(ran_out(
            "[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: not enough memory: you tried"
        ));
        assert!(!ran_out("The size of tensor a (2) must match the size of tensor b (3)"));
    }
}
