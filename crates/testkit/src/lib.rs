//! Simulated network and time for the tests of Antiphon.
