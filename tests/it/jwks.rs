//! The keys that a provider publishes: how they are fetched, cached and replaced, and what happens
//! while they are unavailable.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use serde_json::json;
use switchboard::domain::{Clock, Timestamp};

use crate::support::{
    app::TestApp,
    client::Closed,
    logs::Logs,
    provider::Provider,
    tokens::{claims, encoding_key, forge, jwk, now, sign},
    wait_for,
};

/// Checks that one line of the log says that a token was refused, and that it holds no part of the
/// token.
fn assert_refusal_is_logged(logs: &Logs, token: &str) {
    let log = logs.take();
    assert_eq!(log.matches("a token was refused").count(), 1, "{log}");
    assert!(
        token
            .split('.')
            .filter(|part| part.len() > 8)
            .all(|part| !log.contains(part)),
        "{log}"
    );
}

/// No pause between fetches.
const AT_ONCE: &str = "--jwks-refetch-interval=0s";
/// No second fetch during the test.
const ONCE: &str = "--jwks-refetch-interval=1h";

async fn app(provider: &Provider, flags: &[&str]) -> TestApp {
    TestApp::with_flags(
        &[
            &[
                "--auth",
                "jwt",
                "--jwks-url",
                &provider.url(),
                "--jwt-audience",
                "switchboard",
            ],
            flags,
        ]
        .concat(),
    )
    .await
}

fn ann_token(kid: &str) -> String {
    sign("ec.pem", Some(kid), &claims("ann"))
}

fn unavailable() -> (u16, String) {
    (503, "UNAVAILABLE".to_owned())
}

fn ann() -> (u16, String) {
    (200, "ann".to_owned())
}

#[tokio::test]
async fn old_keys_stay_valid_until_new_ones_are_fetched() {
    let provider = Provider::start(&[jwk("ec.pem", "one")]).await;
    let app = app(&provider, &[AT_ONCE]).await;
    assert_eq!(app.whoami(&ann_token("one")).await, ann());
    assert_eq!(provider.request_count(), 1);

    let new = sign("rsa.pem", Some("two"), &claims("ann"));
    for (status, body) in [
        ("500 Oops", ""),
        ("200 OK", "{}"),
        ("200 OK", "<html>"),
        ("200 OK", r#"{"keys":[]}"#),
        ("302 Found", ""),
    ] {
        provider.respond_with(status, body);
        assert_eq!(app.whoami(&new).await, unavailable(), "{status} {body}");
        assert_eq!(
            app.websocket_rejection(&new).await,
            Some(Closed(1013, "Try again later".to_owned())),
            "{status} {body}"
        );
        assert_eq!(
            app.whoami(&ann_token("one")).await,
            ann(),
            "{status} {body}"
        );
    }
    provider.publish(&[jwk("rsa.pem", "two"), jwk("ed.pem", "three")]);
    assert_eq!(app.whoami(&new).await, ann());
    assert_eq!(
        app.whoami(&sign("ed.pem", Some("three"), &claims("ann")))
            .await,
        ann()
    );
    assert_eq!(
        app.whoami(&ann_token("one")).await.0,
        401,
        "the provider no longer publishes the key"
    );
    app.finish().await;
}

#[tokio::test]
async fn an_unknown_key_is_fetched_once_and_then_refused() {
    let provider = Provider::start(&[jwk("ec.pem", "one")]).await;
    let (app, logs) = (
        app(&provider, &[AT_ONCE]).await,
        Logs::capture(tracing::Level::INFO),
    );
    assert_eq!(app.whoami(&ann_token("one")).await, ann());
    let unknown = ann_token("two");
    logs.take();
    assert_eq!(
        app.whoami(&unknown).await,
        (401, "UNAUTHENTICATED".to_owned())
    );
    assert_refusal_is_logged(&logs, &unknown);
    assert_eq!(provider.request_count(), 2);
    assert_eq!(
        app.websocket_rejection(&unknown).await,
        Some(Closed(4403, "Forbidden".to_owned()))
    );
    assert_refusal_is_logged(&logs, &unknown);
    assert_eq!(provider.request_count(), 3);
    // The name of the key is known, but the signature is of another key. Nothing is fetched.
    assert_eq!(
        app.whoami(&sign("other.pem", Some("one"), &claims("ann")))
            .await
            .0,
        401
    );
    assert_eq!(
        app.whoami(&sign("rsa.pem", Some("one"), &claims("ann")))
            .await
            .0,
        401
    );
    // Nothing is fetched for a shared secret either, because the set is public.
    let (secret, header) = (
        jsonwebtoken::EncodingKey::from_secret(b"public"),
        json!({ "alg": "HS256", "kid": "four" }),
    );
    let forged = forge(
        &header,
        &claims("ann"),
        jsonwebtoken::Algorithm::HS256,
        &secret,
    );
    assert_eq!(app.whoami(&forged).await.0, 401);
    assert_eq!(provider.request_count(), 3);
    app.finish().await;
}

#[tokio::test]
async fn many_requests_with_an_unknown_key_share_one_fetch() {
    let mut provider = Provider::start(&[jwk("ec.pem", "one")]).await;
    let app = app(&provider, &[AT_ONCE]).await;
    assert_eq!(app.whoami(&ann_token("one")).await, ann());
    provider.hold_answers();
    provider.publish(&[jwk("ec.pem", "two")]);
    let token = ann_token("two");
    let requests = futures::future::join_all((0..20).map(|_| app.whoami(&token)));
    let known = async {
        provider.wait_for_requests(2).await;
        // A token with a known key does not wait for the fetch.
        assert_eq!(app.whoami(&ann_token("one")).await, ann());
        provider.release_answers();
    };
    let (answers, ()) = tokio::join!(requests, known);
    assert!(answers.iter().all(|answer| *answer == ann()), "{answers:?}");
    assert_eq!(provider.request_count(), 2);
    app.finish().await;
}

#[tokio::test]
async fn an_unknown_key_is_unavailable_until_the_next_allowed_fetch() {
    let provider = Provider::start(&[jwk("ec.pem", "one")]).await;
    let app = app(&provider, &[ONCE]).await;
    assert_eq!(app.whoami(&ann_token("one")).await, ann());
    provider.publish(&[jwk("ec.pem", "two")]);
    for _ in 0..20 {
        assert_eq!(app.whoami(&ann_token("two")).await, unavailable());
    }
    assert_eq!(provider.request_count(), 1);
    app.finish().await;
}

#[tokio::test]
async fn old_keys_are_refreshed_in_the_background() {
    let mut provider = Provider::start(&[jwk("ec.pem", "one")]).await;
    let time = Arc::new(AtomicI64::new(now() * 1_000_000));
    let shown = time.clone();
    let clock: Clock = Arc::new(move || Timestamp(shown.load(Ordering::SeqCst)));
    let app = TestApp::with_clock(
        clock,
        &[
            "--auth",
            "jwt",
            "--jwks-url",
            &provider.url(),
            "--jwt-audience",
            "switchboard",
        ],
    )
    .await;
    assert_eq!(app.whoami(&ann_token("one")).await, ann());
    provider.publish(&[jwk("ec.pem", "two")]);
    time.fetch_add(599 * 1_000_000, Ordering::SeqCst);
    assert_eq!(app.whoami(&ann_token("one")).await, ann());
    assert_eq!(provider.request_count(), 1);

    time.fetch_add(2 * 1_000_000, Ordering::SeqCst);
    provider.hold_answers();
    assert_eq!(
        app.whoami(&ann_token("one")).await,
        ann(),
        "the old keys are used while the new ones are fetched"
    );
    provider.wait_for_requests(2).await;
    provider.release_answers();
    let taken_back = async { while app.whoami(&ann_token("one")).await == ann() {} };
    wait_for("the new keys", taken_back).await;
    assert_eq!(app.whoami(&ann_token("two")).await, ann());
    assert_eq!(provider.request_count(), 2);
    app.finish().await;
}

#[tokio::test]
async fn a_slow_oversized_or_unreachable_provider_makes_tokens_unavailable() {
    let provider = Provider::start(&[jwk("ec.pem", "one")]).await;
    provider.hold_answers();
    let slow = app(&provider, &["--jwks-timeout", "100ms", ONCE]).await;
    assert_eq!(slow.whoami(&ann_token("one")).await, unavailable());
    slow.finish().await;

    provider.release_answers();
    let long = app(&provider, &["--jwks-bytes-max", "100", ONCE]).await;
    assert_eq!(long.whoami(&ann_token("one")).await, unavailable());
    long.finish().await;

    let url = provider.url();
    drop(provider);
    let gone = TestApp::with_flags(&["--auth", "jwt", "--jwks-url", &url, ONCE]).await;
    assert_eq!(gone.whoami(&ann_token("one")).await, unavailable());
    // An anonymous client needs no keys.
    let mut anonymous = gone.client(None).await;
    anonymous.fence().await;
    drop(anonymous);
    gone.finish().await;
}

#[tokio::test]
async fn unusable_keys_in_a_set_are_ignored() {
    let mut narrow = jwk("rsa.pem", "narrow");
    narrow["alg"] = "PS256".into();
    let mut encryption = jwk("ec.pem", "encryption");
    encryption["use"] = "enc".into();
    let mut foreign = jwk("ec.pem", "foreign");
    (foreign["use"], foreign["key_ops"]) = (json!(null), json!(["sign"]));
    let provider = Provider::start(&[
        json!({ "kty": "AKP", "kid": "new", "alg": "ML-DSA-44", "pub": "AA" }),
        json!({ "kty": "oct", "kid": "shared", "alg": "HS256", "k": "cHVibGlj" }),
        json!({ "kty": "OKP", "crv": "Ed25519", "kid": "short", "x": "AAAA" }),
        json!({ "kty": "EC", "crv": "P-256", "kid": "off", "x": "A".repeat(43), "y": "A".repeat(43) }),
        json!({ "kty": "RSA", "kid": "weak", "n": "w".repeat(170), "e": "AQAB" }),
        json!("no key"),
        encryption,
        foreign,
        narrow,
        jwk("ec.pem", "good"),
    ])
    .await;
    let app = app(&provider, &[AT_ONCE]).await;
    assert_eq!(app.whoami(&ann_token("good")).await, ann());
    // If only one key has the algorithm, the token need not name it.
    assert_eq!(
        app.whoami(&sign("ec.pem", None, &claims("ann"))).await,
        ann()
    );
    for kid in ["encryption", "foreign", "off", "short", "weak", "shared"] {
        assert_eq!(app.whoami(&ann_token(kid)).await.0, 401, "{kid}");
    }
    let (rsa, _) = encoding_key("rsa.pem");
    let by = |algorithm: jsonwebtoken::Algorithm| {
        let header = json!({ "alg": format!("{algorithm:?}"), "kid": "narrow" });
        forge(&header, &claims("ann"), algorithm, &rsa)
    };
    assert_eq!(app.whoami(&by(jsonwebtoken::Algorithm::PS256)).await, ann());
    assert_eq!(
        app.whoami(&by(jsonwebtoken::Algorithm::RS256)).await.0,
        401,
        "the key allows only PS256"
    );
    app.finish().await;
}

#[tokio::test]
async fn keys_of_other_servers_are_never_fetched() {
    let (provider, forger) = (
        Provider::start(&[jwk("ec.pem", "one")]).await,
        Provider::start(&[jwk("other.pem", "forged")]).await,
    );
    let (app, logs) = (
        app(&provider, &[AT_ONCE]).await,
        Logs::capture(tracing::Level::INFO),
    );
    let (mine, algorithm) = encoding_key("other.pem");
    for kid in ["one", "forged"] {
        let header = json!({ "alg": "ES256", "kid": kid, "jku": forger.url(), "x5u": forger.url(), "jwk": jwk("other.pem", kid) });
        let forged = forge(&header, &claims("ann"), algorithm, &mine);
        logs.take();
        assert_eq!(
            app.whoami(&forged).await,
            (401, "UNAUTHENTICATED".to_owned()),
            "{kid}"
        );
        assert_refusal_is_logged(&logs, &forged);
        assert_eq!(
            app.websocket_rejection(&forged).await,
            Some(Closed(4403, "Forbidden".to_owned())),
            "{kid}"
        );
        assert_refusal_is_logged(&logs, &forged);
    }
    assert_eq!(forger.request_count(), 0);
    app.finish().await;
}
