use std::time::Instant;
fn main() {
    let bytes = std::fs::read(std::env::args().nth(1).unwrap()).unwrap();
    let format = if std::env::args().nth(1).unwrap().ends_with("json") {
        bulla_doc::Format::Json
    } else {
        bulla_doc::Format::Yaml
    };
    for _ in 0..3 {
        let t = Instant::now();
        let d = bulla_doc::Document::parse(&bytes, format).unwrap();
        let a = t.elapsed();
        let t = Instant::now();
        let n = d.branches().flat_map(|b| b.walk()).count();
        println!("parse {a:?} walk {:?} steps {n}", t.elapsed());
    }
}
