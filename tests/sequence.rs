//! The corpus of the fuzz target `sequence`, without a fuzzer. A test program of its own: the library, here in the same
//! process, keeps panics quiet.

#[path = "../fuzz/sequence.rs"]
mod sequence;

use std::{fs, panic, path::Path};

#[test]
fn the_corpus_holds() {
    let hook = panic::take_hook();
    losant::ffi::losant_version();
    panic::set_hook(hook);
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/sequence");
    let mut count = 0;
    for file in fs::read_dir(&corpus).expect("the corpus is there") {
        let path = file.expect("it can be read").path();
        // Shown when the test fails.
        println!("{}", path.display());
        sequence::run(&fs::read(path).expect("it can be read"));
        count += 1;
    }
    assert!(count > 10, "{count} files in {}", corpus.display());
}
