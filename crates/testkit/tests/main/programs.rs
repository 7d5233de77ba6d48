use bulla_testkit::process::Program;
use bulla_testkit::{needs_peers, peers};

#[test]
fn the_programs_are_the_pinned_versions() {
    needs_peers!();
    let stated = Program::new(bulla_testkit::workspace().join("tests/peers/build.sh")).arg("--versions").run().unwrap();
    let stated = stated.success().stdout_text();
    let version_of = |name: &str| {
        let line = stated.lines().find(|line| line.starts_with(name)).unwrap();
        line.rsplit(' ').next().unwrap().trim_start_matches('v').to_owned()
    };
    for (program, arguments, name) in [
        (peers::sops(), vec!["--disable-version-check", "--version"], "sops"),
        (peers::age(), vec!["--version"], "age"),
        (peers::age_keygen(), vec!["--version"], "age"),
        (peers::kubeseal(), vec!["--version"], "kubeseal"),
        (peers::sealed_secrets_controller(), vec!["--version"], "kubeseal"),
        (peers::kubectl(), vec!["version", "--client"], "kube-apiserver"),
    ] {
        let finished = Program::new(&program).args(arguments).run().unwrap().success();
        let (said, version) = (finished.stdout_text() + &finished.stderr_text(), version_of(name));
        assert!(said.contains(&version), "{}: {version} is not in {said}", program.display());
    }
}
