//! Parse, run, render the error, exit with its code.

fn main() {}
