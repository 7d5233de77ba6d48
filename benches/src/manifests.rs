//! A repository as GitOps keeps one: for each of many applications a few manifests, some with a value that should not be there,
//! and each of those beside others that only look alike.

use std::fs;
use std::io;
use std::path::Path;

use crate::inputs::Random;

/// How many applications there are.
const APPLICATIONS: usize = 120;

/// A value in plain text.
#[derive(Debug)]
pub(crate) struct Planted {
    /// From the top of the repository.
    pub(crate) file: String,
    pub(crate) line: usize,
    /// What kind of place it is in.
    pub(crate) kind: &'static str,
}

/// How many files there are.
pub(crate) fn count(folder: &Path) -> usize {
    let entries = fs::read_dir(folder.join("apps")).expect("the folder is there");
    entries.map(|entry| fs::read_dir(entry.expect("it can be read").path()).expect("a folder").count()).sum()
}

/// Writes it, and says where values are. `VALUE` in a text is one, `BASE64` one in base64.
pub(crate) fn write(folder: &Path) -> io::Result<Vec<Planted>> {
    let mut random = Random(0x5851_f42d_4c95_7f2d);
    let mut planted = Vec::new();
    for number in 0..APPLICATIONS {
        let name = format!("apps/{number:04}");
        fs::create_dir_all(folder.join(&name))?;
        for (file, text) in GOOD {
            fs::write(folder.join(&name).join(file), filled(text, number, &mut random))?;
        }
        // Three of the kinds in each, all of them equally often.
        for turn in 0..3 {
            let (kind, file, text) = BAD[(number * 3 + turn) % BAD.len()];
            let file = format!("{name}/{file}");
            let line = 1 + text.lines().position(|line| line.contains("VALUE") || line.contains("BASE64")).unwrap_or(0);
            fs::write(folder.join(&file), filled(text, number, &mut random))?;
            planted.push(Planted { file, line, kind });
        }
    }
    Ok(planted)
}

fn filled(text: &str, number: usize, random: &mut Random) -> String {
    // As people and generators make them: short and long, words and noise.
    let width = [7, 12, 20, 32, 40][usize::try_from(random.below(5)).unwrap_or(0)];
    let value = random.text(width);
    let text = text
        .replace("NUMBER", &format!("{number:04}"))
        .replace("BASE64", &base64(value.as_bytes()))
        .replace("VALUE", &value);
    let noise = |random: &mut Random, length: usize| -> Vec<u8> {
        (0..length).map(|_| u8::try_from(random.below(256)).unwrap_or(0)).collect()
    };
    let digest: String =
        (0..64).map(|_| char::from_digit(u32::try_from(random.below(16)).unwrap_or(0), 16).unwrap_or('0')).collect();
    let text = text.replace("DIGEST", &digest);
    // The length of the RSA part, that part, and what is sealed with its tag.
    let sealed = base64(&[vec![2, 0], noise(random, 512 + 40)].concat());
    let (data, iv, tag) = (base64(&noise(random, 18)), base64(&noise(random, 32)), base64(&noise(random, 16)));
    let encrypted = format!("ENC[AES256_GCM,data:{data},iv:{iv},tag:{tag},type:str]");
    text.replace("SEALED", &sealed).replace("CIPHER", &encrypted)
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group =
            chunk.iter().enumerate().fold(0_u32, |group, (place, byte)| group | u32::from(*byte) << (16 - 8 * place));
        for place in 0..4 {
            let digit = DIGITS[(group >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

/// Files without a secret in plain text.
const GOOD: &[(&str, &str)] = &[
    (
        "deployment.yaml",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: app-NUMBER\n  annotations:\n    checksum/config: DIGEST\nspec:\n  replicas: 2\n  selector:\n    matchLabels: {app: app-NUMBER}\n  template:\n    metadata:\n      labels: {app: app-NUMBER}\n    spec:\n      imagePullSecrets:\n        - name: registry\n      containers:\n        - name: app\n          image: registry.example.org/app@sha256:DIGEST\n          env:\n            - name: DB_PASSWORD\n              valueFrom:\n                secretKeyRef: {name: app-NUMBER-database, key: password}\n            - name: TOKEN_FILE\n              value: /run/secrets/token\n          volumeMounts:\n            - {name: secrets, mountPath: /run/secrets}\n      volumes:\n        - name: secrets\n          secret:\n            secretName: app-NUMBER-tokens\n",
    ),
    (
        "service.yaml",
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: app-NUMBER\nspec:\n  selector: {app: app-NUMBER}\n  ports:\n    - {name: http, port: 80, targetPort: 8080}\n",
    ),
    (
        "ingress.yaml",
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: app-NUMBER\nspec:\n  tls:\n    - hosts: [app-NUMBER.example.org]\n      secretName: app-NUMBER-tls\n  rules:\n    - host: app-NUMBER.example.org\n",
    ),
    (
        "sealed.yaml",
        "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata:\n  name: app-NUMBER-tokens\n  namespace: shop\nspec:\n  encryptedData:\n    token: SEALED\n    apiKey: SEALED\n  template:\n    metadata:\n      name: app-NUMBER-tokens\n      namespace: shop\n",
    ),
    (
        "encrypted.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: app-NUMBER-database\nstringData:\n  password: CIPHER\n  url: CIPHER\nsops:\n  age:\n    - recipient: age1yt3tfqlfrwdwx0z0ynwplcr6qxcxfaqycuprpmy89nr83ltx74tqdpszlw\n      enc: |\n        -----BEGIN AGE ENCRYPTED FILE-----\n        SEALED\n        -----END AGE ENCRYPTED FILE-----\n  lastmodified: \"2026-11-21T12:00:00Z\"\n  mac: CIPHER\n  encrypted_regex: ^(data|stringData)$\n  version: 3.13.3\n",
    ),
    (
        "external.yaml",
        "apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata:\n  name: app-NUMBER\nspec:\n  refreshInterval: 1h\n  secretStoreRef: {name: vault, kind: ClusterSecretStore}\n  target:\n    name: app-NUMBER\n    template:\n      data:\n        password: \"{{ .password }}\"\n  data:\n    - secretKey: password\n      remoteRef: {key: kv/app-NUMBER, property: password}\n",
    ),
    (
        "values-existing.yaml",
        "image: {repository: registry.example.org/app, tag: v1.2.3}\nauth:\n  existingSecret: app-NUMBER-database\n  secretKeys: {adminPasswordKey: postgres-password}\n  password: \"\"\ningress:\n  tlsSecret: app-NUMBER-tls\n",
    ),
    (
        "substituted.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: app-NUMBER-flux\nstringData:\n  password: ${APP_PASSWORD}\n  token: <path:kv/data/app-NUMBER#token>\n",
    ),
];

/// Files with one value in plain text: its kind, the file, its text.
const BAD: &[(&str, &str, &str)] = &[
    (
        "Secret, stringData",
        "secret.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: app-NUMBER\nstringData:\n  username: ${USER}\n  password: VALUE\n",
    ),
    (
        "Secret, neutral key",
        "credentials.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: app-NUMBER\nstringData:\n  entry: VALUE\n",
    ),
    (
        "Secret, data",
        "database.yaml",
        "apiVersion: v1\ndata:\n  password: BASE64\nkind: Secret\nmetadata:\n  name: app-NUMBER\n",
    ),
    (
        "Secret in a List",
        "list.yaml",
        "apiVersion: v1\nkind: List\nitems:\n  - apiVersion: v1\n    kind: Secret\n    metadata: {name: app-NUMBER}\n    stringData: {token: VALUE}\n",
    ),
    (
        "Secret in a ConfigMap",
        "manifests.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: manifests\ndata:\n  secret.yaml: |\n    apiVersion: v1\n    kind: Secret\n    stringData:\n      password: VALUE\n",
    ),
    (
        "last-applied annotation",
        "applied.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: app-NUMBER\n  annotations:\n    kubectl.kubernetes.io/last-applied-configuration: '{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"data\":{\"password\":\"BASE64\"}}'\n",
    ),
    (
        "secretGenerator",
        "kustomization.yaml",
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nsecretGenerator:\n  - name: app-NUMBER\n    literals:\n      - password=VALUE\n",
    ),
    ("JSON patch of a Secret", "patch.yaml", "- op: replace\n  path: /stringData/password\n  value: VALUE\n"),
    (
        "Helm template",
        "template.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: {{ .Release.Name }}\ndata:\n  password: {{ \"VALUE\" | b64enc }}\n",
    ),
    (
        "Helm values",
        "values.yaml",
        "image: {repository: registry.example.org/app, tag: v1.2.3}\npostgresql:\n  auth:\n    username: app\n    password: VALUE\n",
    ),
    (
        "URL in Helm values",
        "values-url.yaml",
        "config:\n  databaseUrl: postgres://app:VALUE@database.example.org:5432/app\n",
    ),
    (
        "HelmRelease",
        "release.yaml",
        "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata:\n  name: app-NUMBER\nspec:\n  values:\n    grafana:\n      adminPassword: VALUE\n",
    ),
    (
        "Argo CD parameter",
        "application.yaml",
        "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata:\n  name: app-NUMBER\nspec:\n  source:\n    helm:\n      parameters:\n        - name: auth.password\n          value: VALUE\n",
    ),
    (
        "SealedSecret, template",
        "sealed-plain.yaml",
        "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata:\n  name: app-NUMBER\nspec:\n  encryptedData:\n    token: SEALED\n  template:\n    data:\n      password: VALUE\n",
    ),
    (
        "edited after encryption",
        "encrypted-edited.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: app-NUMBER\nstringData:\n  user: CIPHER\n  password: VALUE\nsops:\n  age:\n    - recipient: age1yt3tfqlfrwdwx0z0ynwplcr6qxcxfaqycuprpmy89nr83ltx74tqdpszlw\n      enc: |\n        -----BEGIN AGE ENCRYPTED FILE-----\n        SEALED\n        -----END AGE ENCRYPTED FILE-----\n  lastmodified: \"2026-11-21T12:00:00Z\"\n  mac: CIPHER\n  encrypted_regex: ^(data|stringData)$\n  version: 3.13.3\n",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_has_more_than_a_thousand_files_and_each_kind_equally_often() {
        let folder = tempfile::tempdir().unwrap();
        let planted = write(folder.path()).unwrap();
        assert!(count(folder.path()) > 1_000);
        assert_eq!(planted.len(), 3 * APPLICATIONS);
        for (kind, ..) in BAD {
            assert_eq!(
                planted.iter().filter(|planted| planted.kind == *kind).count(),
                planted.len() / BAD.len(),
                "{kind}"
            );
        }
        assert_eq!(base64(b"hunter2"), "aHVudGVyMg==");
    }
}
