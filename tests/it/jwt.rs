//! Tokens of an identity provider, at a whole server: which are accepted and which are refused.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};
use tracing::Level;

use crate::support::{
    app::TestApp,
    client::Closed,
    http,
    logs::Logs,
    tokens::{claims, claims_with, encoding_key, forge, jwk, key_path, key_pem, now, sign},
};

const SECRET: &str = "a secret of the tests, and of nothing else";

const CLAIM_FLAGS: [&str; 4] = [
    "--jwt-issuer",
    "https://issuer.test",
    "--jwt-audience",
    "switchboard",
];

/// A server that verifies tokens with this key, and requires the issuer and the audience of the
/// tests.
async fn app(key: &[&str]) -> TestApp {
    TestApp::with_flags(&[&["--auth", "jwt"], key, &CLAIM_FLAGS].concat()).await
}

/// Checks that a token is refused over HTTP and over WebSocket. Each refusal logs one line, which
/// has the reason and no part of the token.
async fn assert_refused(app: &TestApp, logs: &Logs, name: &str, token: &str, reason: &str) {
    logs.take();
    assert_eq!(
        app.whoami(token).await,
        (401, "UNAUTHENTICATED".to_owned()),
        "{name}"
    );
    assert_refusal_is_logged(logs, name, token, reason);
    assert_eq!(
        app.websocket_rejection(token).await,
        Some(Closed(4403, "Forbidden".to_owned())),
        "{name}"
    );
    assert_refusal_is_logged(logs, name, token, reason);
}

fn assert_refusal_is_logged(logs: &Logs, name: &str, token: &str, reason: &str) {
    let log = logs.take();
    assert_eq!(log.lines().count(), 1, "{name}: {log}");
    assert!(
        log.contains("a token was refused") && log.contains(reason),
        "{name}: {log}"
    );
    let parts = token.split('.').filter(|part| part.len() > 8);
    assert!(
        parts.into_iter().all(|part| !log.contains(part)),
        "{name}: {log}"
    );
}

/// A name for the log, an invalid token, and the reason in the log.
type InvalidToken = (&'static str, String, &'static str);

/// Tokens whose claims are invalid.
fn tokens_with_invalid_claims() -> Vec<InvalidToken> {
    let changed = |changes: Value| sign("ec.pem", None, &claims_with("ann", &changes));
    vec![
        (
            "expired",
            changed(json!({ "exp": now() - 31 })),
            "the token has expired",
        ),
        (
            "not yet valid",
            changed(json!({ "nbf": now() + 60 })),
            "the token is not valid yet",
        ),
        (
            "another issuer",
            changed(json!({ "iss": "https://issuer.test.evil" })),
            "another issuer",
        ),
        (
            "no issuer",
            changed(json!({ "iss": null })),
            "another issuer",
        ),
        (
            "a list of issuers",
            changed(json!({ "iss": ["https://issuer.test"] })),
            "claim `iss`",
        ),
        (
            "another audience",
            changed(json!({ "aud": "switch" })),
            "another audience",
        ),
        (
            "other audiences",
            changed(json!({ "aud": ["a", "b"] })),
            "another audience",
        ),
        (
            "no audience",
            changed(json!({ "aud": null })),
            "another audience",
        ),
    ]
}

/// Tokens whose claims are missing or of a wrong type.
fn tokens_with_malformed_claims() -> Vec<InvalidToken> {
    let changed = |changes: Value| sign("ec.pem", None, &claims_with("ann", &changes));
    vec![
        ("no subject", changed(json!({ "sub": null })), "claim `sub`"),
        (
            "an empty subject",
            changed(json!({ "sub": "" })),
            "claim `sub`",
        ),
        (
            "a subject that is a number",
            changed(json!({ "sub": 7 })),
            "claim `sub`",
        ),
        (
            "a subject that is too long",
            changed(json!({ "sub": "s".repeat(1025) })),
            "claim `sub`",
        ),
        ("no expiry", changed(json!({ "exp": null })), "claim `exp`"),
        (
            "an expiry that is text",
            changed(json!({ "exp": (now() + 60).to_string() })),
            "claim `exp`",
        ),
        (
            "a negative expiry",
            changed(json!({ "exp": -1 })),
            "the token has expired",
        ),
    ]
}

/// Tokens whose form or signature is invalid.
fn malformed_tokens(valid: &str) -> Vec<InvalidToken> {
    let changed = |changes: Value| sign("ec.pem", None, &claims_with("ann", &changes));
    let parts: Vec<&str> = valid.split('.').collect();
    let other = sign("ec.pem", None, &claims("bob"));
    let swapped = format!(
        "{}.{}.{}",
        parts[0],
        other.split('.').nth(1).unwrap(),
        parts[2]
    );
    let cut = |from: usize| valid[..valid.len() - from].to_owned();
    vec![
        ("another payload", swapped, "the token's signature is wrong"),
        (
            "another key",
            sign("other.pem", None, &claims("ann")),
            "the token's signature is wrong",
        ),
        (
            "another kind of key",
            sign("ed.pem", None, &claims("ann")),
            "an algorithm of its key",
        ),
        (
            "half a signature",
            cut(10),
            "the token's signature is wrong",
        ),
        (
            "no signature",
            format!("{}.{}.", parts[0], parts[1]),
            "the token's signature is wrong",
        ),
        (
            "two parts",
            format!("{}.{}", parts[0], parts[1]),
            "the token cannot be read",
        ),
        (
            "five parts",
            format!("{valid}.x.y"),
            "the token cannot be read",
        ),
        ("no token", "a.b.c".to_owned(), "the token cannot be read"),
        (
            "oversized",
            changed(json!({ "pad": "x".repeat(9000) })),
            "longer than the limit of this server",
        ),
    ]
}

#[tokio::test]
async fn a1_invalid_tokens_are_refused_and_the_log_says_only_why() {
    let (app, logs) = (
        app(&["--jwt-public-key", &key_path("ec.pub.pem")]).await,
        Logs::capture(Level::INFO),
    );
    let valid = sign("ec.pem", None, &claims("ann"));
    assert_eq!(app.whoami(&valid).await, (200, "ann".to_owned()));
    assert_eq!(logs.take(), "");

    for (name, token, reason) in [
        tokens_with_invalid_claims(),
        tokens_with_malformed_claims(),
        malformed_tokens(&valid),
    ]
    .concat()
    {
        assert_refused(&app, &logs, name, &token, reason).await;
    }
    app.finish().await;
}

/// A token without a signature.
fn unsigned(algorithm: &str) -> String {
    let part = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let header = json!({ "alg": algorithm, "typ": "JWT" });
    format!("{}.{}.", part(header), part(claims("ann")))
}

/// Tokens that use the public key, or nothing, as a shared secret.
fn tokens_with_a_public_secret(public: &str) -> Vec<InvalidToken> {
    let shared = |secret: &[u8]| EncodingKey::from_secret(secret);
    let hs256 = json!({ "alg": "HS256", "typ": "JWT" });
    let der = der_bytes(public);
    vec![
        (
            "HS256 with the public key's PEM",
            forge(
                &hs256,
                &claims("ann"),
                Algorithm::HS256,
                &shared(public.as_bytes()),
            ),
            "an algorithm of its key",
        ),
        (
            "HS256 with the public key's PEM, trimmed",
            forge(
                &hs256,
                &claims("ann"),
                Algorithm::HS256,
                &shared(public.trim().as_bytes()),
            ),
            "an algorithm of its key",
        ),
        (
            "HS256 with the public key's bytes",
            forge(&hs256, &claims("ann"), Algorithm::HS256, &shared(&der)),
            "an algorithm of its key",
        ),
        (
            "HS256 with nothing",
            forge(&hs256, &claims("ann"), Algorithm::HS256, &shared(b"")),
            "an algorithm of its key",
        ),
        (
            "RS256 that is signed as HS256",
            forge(
                &json!({ "alg": "RS256" }),
                &claims("ann"),
                Algorithm::HS256,
                &shared(public.as_bytes()),
            ),
            "the token's signature is wrong",
        ),
    ]
}

/// Tokens whose header tries to choose the key or the algorithm.
fn forged_tokens() -> Vec<InvalidToken> {
    let (mine, algorithm) = encoding_key("other.pem");
    let (rsa, _) = encoding_key("rsa.pem");
    let with_own_key = json!({
        "alg": "ES256", "kid": "mine", "jwk": jwk("other.pem", "mine"),
        "jku": "http://127.0.0.1:1/keys.json", "x5u": "http://127.0.0.1:1/",
    });
    let null_critical = json!({ "alg": "RS256", "crit": null });
    let critical = json!({ "alg": "RS256", "crit": ["exp"], "exp": now() });
    vec![
        ("alg none", unsigned("none"), "an algorithm of its key"),
        ("alg None", unsigned("None"), "an algorithm of its key"),
        ("alg empty", unsigned(""), "an algorithm of its key"),
        (
            "a key that it brings",
            forge(&with_own_key, &claims("ann"), algorithm, &mine),
            "an algorithm of its key",
        ),
        (
            "a critical header that is null",
            forge(&null_critical, &claims("ann"), Algorithm::RS256, &rsa),
            "critical headers",
        ),
        (
            "a critical header",
            forge(&critical, &claims("ann"), Algorithm::RS256, &rsa),
            "critical headers",
        ),
    ]
}

#[tokio::test]
async fn a2_the_header_of_a_token_cannot_choose_its_key() {
    let public = key_pem("rsa.pub.pem");
    let (app, logs) = (
        app(&["--jwt-public-key", &key_path("rsa.pub.pem")]).await,
        Logs::capture(Level::INFO),
    );
    assert_eq!(
        app.whoami(&sign("rsa.pem", None, &claims("ann"))).await,
        (200, "ann".to_owned())
    );

    for (name, token, reason) in [forged_tokens(), tokens_with_a_public_secret(&public)].concat() {
        assert_refused(&app, &logs, name, &token, reason).await;
    }
    app.finish().await;
}

fn der_bytes(pem: &str) -> Vec<u8> {
    pkcs8::Document::from_pem(pem.trim())
        .unwrap()
        .1
        .as_bytes()
        .to_vec()
}

#[tokio::test]
async fn each_kind_of_key_verifies_only_its_own_tokens() {
    let kinds = [
        ("rsa.pub.pem", "rsa.pem"),
        ("ec.pub.pem", "ec.pem"),
        ("ec384.pub.pem", "ec384.pem"),
        ("ed.pub.pem", "ed.pem"),
    ];
    for (public, own) in kinds {
        // The flag also takes the key itself: a text with BEGIN in it is not a path.
        let app = app(&["--jwt-public-key", &key_pem(public)]).await;
        for (_, private) in kinds {
            let status = app.whoami(&sign(private, None, &claims("ann"))).await.0;
            assert_eq!(
                status,
                if private == own { 200 } else { 401 },
                "{public} {private}"
            );
        }
        app.finish().await;
    }
    let app = app(&["--jwt-secret", SECRET]).await;
    let token = |algorithm: Algorithm, secret: &str| {
        let header = json!({ "alg": format!("{algorithm:?}") });
        forge(
            &header,
            &claims("ann"),
            algorithm,
            &EncodingKey::from_secret(secret.as_bytes()),
        )
    };
    assert_eq!(
        app.whoami(&token(Algorithm::HS256, SECRET)).await,
        (200, "ann".to_owned())
    );
    assert_eq!(app.whoami(&token(Algorithm::HS512, SECRET)).await.0, 401);
    assert_eq!(
        app.whoami(&token(Algorithm::HS256, &SECRET[1..])).await.0,
        401
    );
    assert_eq!(
        app.whoami(&sign("ec.pem", None, &claims("ann"))).await.0,
        401
    );
    app.finish().await;
}

#[tokio::test]
async fn a_server_with_a_provider_has_no_guests() {
    let app = app(&["--jwt-secret", SECRET]).await;
    let mut anonymous = app.client(None).await;
    let answer = anonymous
        .execute("mutation { signIn(name: \"ann\") { token } }", json!({}))
        .await;
    assert_eq!(
        answer["errors"][0]["extensions"]["code"], "FORBIDDEN",
        "{answer}"
    );
    assert!(
        answer["errors"][0]["message"]
            .as_str()
            .unwrap()
            .contains("identity provider"),
        "{answer}"
    );
    let viewer = anonymous
        .execute(
            "{ viewer { name } room(id: \"room-1\") { name } }",
            json!({}),
        )
        .await;
    assert_eq!(
        viewer["data"],
        json!({ "viewer": null, "room": { "name": "General" } })
    );
    drop(anonymous);
    app.finish().await;
}

#[tokio::test]
async fn a_guest_token_is_refused_by_a_server_with_a_provider() {
    let app = TestApp::start().await;
    let guest = app.sign_in("ann").await;
    let folder = app.finish().await;
    let app = TestApp::in_folder(folder, &["--auth", "jwt", "--jwt-secret", SECRET]).await;
    assert_eq!(app.whoami(&guest).await.0, 401);
    app.finish().await;
}

#[tokio::test]
async fn a_message_is_sent_as_the_user_of_the_token() {
    let app = app(&["--jwt-secret", SECRET]).await;
    let secret = EncodingKey::from_secret(SECRET.as_bytes());
    let token = forge(
        &json!({ "alg": "HS256" }),
        &claims("ann"),
        Algorithm::HS256,
        &secret,
    );
    let mut ann = app.client(Some(&token)).await;
    ann.send_message("room-1", "hello").await;
    let query = "{ messages(roomId: \"room-1\", last: 1) { nodes { text sender { name } } } }";
    let reply = http::post(app.address(), &json!({ "query": query }).to_string(), &[]).await;
    assert_eq!(
        reply.json()["data"]["messages"]["nodes"],
        json!([{ "text": "hello", "sender": { "name": "ann" } }])
    );
    drop(ann);
    app.finish().await;
}
