//! Which datagrams a link loses.

use antiphon_util::Rng;

/// A model of loss.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Loss {
    /// Nothing is lost.
    #[default]
    None,
    /// Each datagram is lost independently with this probability.
    Random(f64),
    /// The model of Gilbert and Elliott: a link is in a good or a bad state, and changes between them per datagram.
    GilbertElliott {
        /// Probability of going from the good state to the bad one, before each datagram.
        to_bad: f64,
        /// Probability of going from the bad state to the good one, before each datagram.
        to_good: f64,
        /// Probability of loss in the good state.
        loss_in_good: f64,
        /// Probability of loss in the bad state.
        loss_in_bad: f64,
    },
}

impl Loss {
    /// Independent loss with `probability` in [0, 1].
    pub fn random(probability: f64) -> Self {
        Self::Random(probability)
    }

    /// Loss in bursts: `average` of all datagrams in [0, 1), in bursts of `burst` datagrams (at least 1) on average.
    pub fn bursty(average: f64, burst: f64) -> Self {
        let to_good = 1.0 / burst.max(1.0);
        let to_bad = (to_good * average / (1.0 - average)).min(1.0);
        Self::GilbertElliott { to_bad, to_good, loss_in_good: 0.0, loss_in_bad: 1.0 }
    }

    /// Everything is lost: the link is cut.
    pub fn everything() -> Self {
        Self::Random(1.0)
    }
}

/// The state of a link's loss.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LossState {
    bad: bool,
}

impl LossState {
    /// Whether the next datagram is lost.
    pub(crate) fn next(&mut self, model: Loss, rng: &mut Rng) -> bool {
        match model {
            Loss::None => false,
            Loss::Random(probability) => rng.unit() < probability,
            Loss::GilbertElliott { to_bad, to_good, loss_in_good, loss_in_bad } => {
                let change = if self.bad { to_good } else { to_bad };
                self.bad ^= rng.unit() < change;
                rng.unit() < if self.bad { loss_in_bad } else { loss_in_good }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNT: usize = 100_000;

    fn losses(model: Loss) -> Vec<bool> {
        let (mut state, mut rng) = (LossState::default(), Rng::from_test_seed(3));
        (0..COUNT).map(|_| state.next(model, &mut rng)).collect()
    }

    fn share(losses: &[bool]) -> f64 {
        losses.iter().filter(|lost| **lost).count() as f64 / losses.len() as f64
    }

    fn mean_burst(losses: &[bool]) -> f64 {
        let bursts = losses.windows(2).filter(|pair| !pair[0] && pair[1]).count();
        losses.iter().filter(|lost| **lost).count() as f64 / bursts as f64
    }

    #[test]
    fn loses_the_share_asked_for() {
        assert_eq!(share(&losses(Loss::None)), 0.0);
        assert_eq!(share(&losses(Loss::everything())), 1.0);
        assert!((share(&losses(Loss::random(0.3))) - 0.3).abs() < 0.01);
        assert!((share(&losses(Loss::bursty(0.1, 5.0))) - 0.1).abs() < 0.01);
    }

    #[test]
    fn loses_in_bursts_of_the_length_asked_for() {
        assert!((mean_burst(&losses(Loss::bursty(0.1, 5.0))) - 5.0).abs() < 0.3);
        assert!((mean_burst(&losses(Loss::random(0.1))) - 1.0 / 0.9).abs() < 0.1);
    }
}
