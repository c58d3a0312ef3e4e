//! Benchmarks of Antiphon: one file a layer beside this one, and `peers`, a workspace of its own that
//! compares whole peers of several libraries.
