use std::collections::HashSet;
use std::fs;

use bulla_testkit::oracle::Oracle;
use bulla_testkit::{corpus, needs_peers};

#[test]
fn the_corpus_is_thousands_of_distinct_manifests_that_go_yaml_mostly_reads() {
    needs_peers!();
    let manifests = corpus::yaml();
    assert!(manifests.len() >= 3_000, "only {} manifests", manifests.len());
    let contents: HashSet<Vec<u8>> = manifests.iter().map(|file| fs::read(&file.path).unwrap()).collect();
    assert_eq!(contents.len(), manifests.len());
    // Templates and cases of errors are among them, and should be.
    let read =
        contents.iter().filter(|content| Oracle::shared().yaml(content).is_ok_and(|answer| answer.error.is_none()));
    let read = read.count();
    assert!(read > manifests.len() * 9 / 10 && read < manifests.len(), "{read} of {} are read", manifests.len());
}
