//! The one test binary; each part of the product brings its tests.
