//! Is a key the name of a credential? By its words, not by its letters: `dbPassword` is, `passwordSecretName` is not.

/// What a key promises about its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Promise {
    /// A password: any text may be one.
    Password,
    /// A token or key: such values look random. The names of Secrets and of their keys are often kept under such keys, too.
    Random,
}

/// The last word of a key that holds a password.
const PASSWORDS: &[&str] = &["password", "passwd", "passphrase", "passwort", "pwd", "pass"];
/// Words that make a `key` behind them one that opens something.
const KEYS: &[&str] = &[
    "api",
    "access",
    "secret",
    "private",
    "encryption",
    "signing",
    "auth",
    "master",
    "account",
    "storage",
    "shared",
    "hmac",
    "session",
    "license",
    "app",
    "application",
    "service",
    "ssh",
    "webhook",
    "deploy",
    "routing",
    "integration",
];
/// Words before a `secret` that make it the name of an object.
const NAMES: &[&str] = &[
    "existing",
    "external",
    "password",
    "token",
    "key",
    "tls",
    "pull",
    "credential",
    "credentials",
    "ref",
    "cert",
    "certificate",
    "ca",
    "kubernetes",
    "k8s",
    "name",
    "use",
    "create",
    "is",
    "from",
    "image",
    "registry",
    "config",
];
/// The last word of a key whose entries are the names of keys, not values.
const MAPS: &[&str] =
    &["keys", "ref", "refs", "mapping", "mappings", "names", "name", "selector", "from", "properties"];

/// What `key` promises.
pub(crate) fn promise(key: &str) -> Option<Promise> {
    // Nothing shorter is a credential's name, and most keys are no longer than a word.
    if key.len() < 3 || key.len() > 100 {
        return None;
    }
    let words = words(key);
    let mut words = words.iter().rev().map(String::as_str);
    let last = words.next()?;
    let before = words.next();
    if PASSWORDS.contains(&last) || last.ends_with("password") || last.ends_with("passwd") {
        // What passes is a test or a proxy, unless it stands alone or behind a name.
        return if last == "pass" && before.is_none() { None } else { Some(Promise::Password) };
    }
    let is_random = match last {
        "secret" => before.is_none_or(|before| !NAMES.contains(&before)),
        "token" | "apikey" | "accesskey" | "secretkey" | "privatekey" | "clientsecret" | "authtoken" | "apitoken"
        | "credentials" | "credential" | "dsn" | "accesstoken" => true,
        "key" => before.is_some_and(|before| KEYS.contains(&before)),
        "string" => before == Some("connection"),
        _ => false,
    };
    is_random.then_some(Promise::Random)
}

/// Are the entries of the mapping with this key names of keys?
pub(crate) fn holds_names(key: &str) -> bool {
    words(key).last().is_some_and(|last| MAPS.contains(&last.as_str()))
}

/// The words of a key, in lower case: they begin with a capital letter, or behind what is no letter or digit.
fn words(key: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    let characters: Vec<char> = key.chars().collect();
    for (place, &character) in characters.iter().enumerate() {
        let before = place.checked_sub(1).map(|place| characters[place]);
        let after = characters.get(place + 1);
        let begins = character.is_uppercase()
            && (before.is_some_and(|before| before.is_lowercase() || before.is_ascii_digit())
                || (before.is_some_and(char::is_uppercase) && after.is_some_and(|after| after.is_lowercase())));
        if begins || !character.is_alphanumeric() {
            if !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
            if !character.is_alphanumeric() {
                continue;
            }
        }
        word.extend(character.to_lowercase());
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_begin_with_capitals_and_behind_signs() {
        for (key, expected) in [
            ("dbPassword", vec!["db", "password"]),
            ("DB_PASSWORD", vec!["db", "password"]),
            ("APIKey", vec!["api", "key"]),
            ("auth.root-password", vec!["auth", "root", "password"]),
            ("s3SecretKey", vec!["s3", "secret", "key"]),
        ] {
            assert_eq!(words(key), expected);
        }
    }

    #[test]
    fn names_of_credentials_are_told_from_names_of_objects() {
        for key in ["password", "dbPassword", "DB_PASSWD", "rootPassword", "adminpassword", "db_pass"] {
            assert_eq!(promise(key), Some(Promise::Password), "{key}");
        }
        for key in
            ["token", "apiKey", "api-key", "client_secret", "AWS_SECRET_ACCESS_KEY", "secretKey", "connectionString"]
        {
            assert_eq!(promise(key), Some(Promise::Random), "{key}");
        }
        for key in [
            "existingSecret",
            "secretName",
            "passwordKey",
            "tokenTTL",
            "passwordSecret",
            "imagePullSecret",
            "key",
            "passwordFile",
            "secretKeyRef",
            "tokenUrl",
            "bypass",
            "pass",
            "secrets",
            "passwordSecretKey2",
            "monkey",
        ] {
            assert_eq!(promise(key), None, "{key}");
        }
        assert!(holds_names("secretKeys") && holds_names("secretKeyRef") && !holds_names("auth"));
    }
}
