//! The extension of VS Code for SOPS. It decrypts a copy without a telling name, and saves by running SOPS as an editor session without a
//! terminal, whose editor is a script that copies the new text over SOPS' file. Source: signageos/vscode-sops, `src/extension.ts`.

use bulla_testkit::needs_peers;

use super::places;

const TYPES: &str = "--output-type yaml --input-type yaml";

const PLAIN: &str = "db:\n    user: admin\n    password: hunter2\nports:\n    - 5432\n    - 5433\n";

#[test]
fn saving_in_vs_code_changes_only_what_was_changed() {
    needs_peers!();
    for (name, place) in places() {
        // A new file: the configuration and the file are copied, at the same place to each other.
        place.write("copy/.sops.yaml", place.read(".sops.yaml"));
        place.write("copy/deep/new.yaml", PLAIN);
        let made = place.does(&format!(
            "cd ~ && sops --config $OLDPWD/copy/.sops.yaml {TYPES} --encrypt $OLDPWD/copy/deep/new.yaml"
        ));
        let temporary = place.root().join("tmp/3b5d5c3712955042212316173ccf37be");
        std::fs::write(&temporary, &made).unwrap();
        let temporary = temporary.display();
        for configuration in ["", "--config /dev/null"] {
            let decrypt = format!("cd ~ && sops {configuration} {TYPES} --decrypt {temporary}");
            assert_eq!(place.does(&decrypt), PLAIN, "{name}");
        }

        place.write("editor", "#!/bin/sh\ncat $VSCODE_SOPS_DECRYPTED_FILE_PATH > $1\n");
        place.write("decrypted", PLAIN.replace("hunter2", "changed"));
        let save = format!(
            "chmod +x editor; EDITOR=$PWD/editor VSCODE_SOPS_DECRYPTED_FILE_PATH=$PWD/decrypted sops {TYPES} {temporary}"
        );
        place.does(&save);
        let saved = std::fs::read_to_string(place.root().join("tmp/3b5d5c3712955042212316173ccf37be")).unwrap();
        let new = super::new_lines(&made, &saved);
        assert!(new.len() == 2 && new[0].trim_start().starts_with("password: ENC["), "{name}: {new:#?}");
        assert_eq!(
            place.does(&format!("sops {TYPES} --decrypt {temporary}")),
            PLAIN.replace("hunter2", "changed"),
            "{name}"
        );

        // Saved as it is: the extension reads the file, and that did not change.
        let finished = place.run(&save);
        assert_eq!(finished.code(), Some(200), "{name}: {}", finished.stderr_text());
        let again = std::fs::read_to_string(place.root().join("tmp/3b5d5c3712955042212316173ccf37be")).unwrap();
        assert_eq!(again, saved, "{name}");
    }
}

#[test]
fn vs_code_knows_the_message_for_a_file_that_no_rule_is_for() {
    needs_peers!();
    for (name, place) in places() {
        place.write("rules.yaml", place.read(".sops.yaml").replace("- age", "- path_regex: never$\n  age"));
        place.write("other.yaml", PLAIN);
        let refused = place.run(&format!("sops --config $PWD/rules.yaml {TYPES} --encrypt $PWD/other.yaml"));
        assert_eq!(refused.code(), Some(1), "{name}");
        assert!(
            refused.stderr_text().contains("no matching creation rules found"),
            "{name}: {}",
            refused.stderr_text()
        );
    }
}
