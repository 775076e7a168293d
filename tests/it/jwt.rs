//! Tokens of an identity provider: whom they are for, and every one that must be refused.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};
use switchboard::{
    auth::{Auth, AuthLimits, JwtSettings, Key, KeySource, SignIn, TokenError},
    domain::{Identity, Revocation, Subject, Timestamp, TokenId, User, UserId},
    store::{
        Accounts, StoreError,
        sqlite::{Sqlite, SqliteLimits},
    },
};
use tokio_util::task::TaskTracker;
use tracing::Level;

use crate::support::{
    Folder,
    app::TestApp,
    client::Closed,
    http,
    logs::Logs,
    tokens::{claims, claims_with, encoding_key, forge, now, path, pem, sign},
};

const SECRET: &str = "a secret of the tests, and of nothing else";
const EC: [&str; 4] = [
    "--jwt-issuer",
    "https://issuer.test",
    "--jwt-audience",
    "switchboard",
];

/// A server that checks tokens with this key, of this issuer, for this audience.
async fn app(key: &[&str]) -> TestApp {
    TestApp::with(&[&["--auth", "jwt"], key, &EC].concat()).await
}

/// Refused by HTTP and by WebSocket, each time with one line in the log that says why and holds nothing of the token.
async fn refused(app: &TestApp, logs: &Logs, name: &str, token: &str, reason: &str) {
    logs.take();
    assert_eq!(
        app.whoami(token).await,
        (401, "UNAUTHENTICATED".to_owned()),
        "{name}"
    );
    told(logs, name, token, reason);
    assert_eq!(
        app.rejection(token).await,
        Some(Closed(4403, "Forbidden".to_owned())),
        "{name}"
    );
    told(logs, name, token, reason);
}

fn told(logs: &Logs, name: &str, token: &str, reason: &str) {
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

#[tokio::test]
async fn a1_bad_tokens_are_refused_with_a_reason_and_no_trace_of_them() {
    let (app, logs) = (
        app(&["--jwt-public-key", &path("ec.pub.pem")]).await,
        Logs::of(Level::INFO),
    );
    let good = sign("ec.pem", None, &claims("ann"));
    assert_eq!(app.whoami(&good).await, (200, "ann".to_owned()));
    assert_eq!(logs.take(), "");

    let changed = |changes: Value| sign("ec.pem", None, &claims_with("ann", &changes));
    let parts: Vec<&str> = good.split('.').collect();
    let other = sign("ec.pem", None, &claims("bob"));
    let swapped = format!(
        "{}.{}.{}",
        parts[0],
        other.split('.').nth(1).unwrap(),
        parts[2]
    );
    let cut = |from: usize| good[..good.len() - from].to_owned();
    for (name, token, reason) in [
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
            format!("{good}.x.y"),
            "the token cannot be read",
        ),
        ("no token", "a.b.c".to_owned(), "the token cannot be read"),
        (
            "oversized",
            changed(json!({ "pad": "x".repeat(9000) })),
            "longer than this server reads",
        ),
    ] {
        refused(&app, &logs, name, &token, reason).await;
    }
    app.finish().await;
}

#[tokio::test]
async fn a2_what_a_token_says_about_its_key_is_not_believed() {
    let public = pem("rsa.pub.pem");
    let (app, logs) = (
        app(&["--jwt-public-key", &path("rsa.pub.pem")]).await,
        Logs::of(Level::INFO),
    );
    assert_eq!(
        app.whoami(&sign("rsa.pem", None, &claims("ann"))).await,
        (200, "ann".to_owned())
    );

    let unsigned = |alg: &str| {
        let part = |value: Value| {
            base64::Engine::encode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, value.to_string())
        };
        format!(
            "{}.{}.",
            part(json!({ "alg": alg, "typ": "JWT" })),
            part(claims("ann"))
        )
    };
    let (mine, algorithm) = encoding_key("other.pem");
    let (rsa, _) = encoding_key("rsa.pem");
    let with_own_key = json!({
        "alg": "ES256", "jwk": crate::support::tokens::jwk("other.pem", "mine"), "jku": "http://127.0.0.1:1/keys.json",
        "x5u": "http://127.0.0.1:1/", "kid": "mine",
    });
    let null_critical = json!({ "alg": "RS256", "crit": null });
    let critical = json!({ "alg": "RS256", "crit": ["exp"], "exp": now() });
    let shared = |secret: &[u8]| EncodingKey::from_secret(secret);
    let hs256 = json!({ "alg": "HS256", "typ": "JWT" });
    let der = jsonwebtoken_der(&public);
    for (name, token, reason) in [
        ("alg none", unsigned("none"), "an algorithm of its key"),
        ("alg None", unsigned("None"), "an algorithm of its key"),
        ("alg empty", unsigned(""), "an algorithm of its key"),
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
    ] {
        refused(&app, &logs, name, &token, reason).await;
    }
    app.finish().await;
}

fn jsonwebtoken_der(pem: &str) -> Vec<u8> {
    pkcs8::Document::from_pem(pem.trim())
        .unwrap()
        .1
        .as_bytes()
        .to_vec()
}

#[tokio::test]
async fn each_kind_of_key_checks_its_own_tokens_and_no_others() {
    let kinds = [
        ("rsa.pub.pem", "rsa.pem"),
        ("ec.pub.pem", "ec.pem"),
        ("ec384.pub.pem", "ec384.pem"),
        ("ed.pub.pem", "ed.pem"),
    ];
    for (public, own) in kinds {
        // As text, too: what has BEGIN in it is no path.
        let app = app(&["--jwt-public-key", &pem(public)]).await;
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
async fn where_a_provider_signs_in_there_are_no_guests() {
    let app = app(&["--jwt-secret", SECRET]).await;
    let mut nobody = app.client(None).await;
    let answer = nobody
        .ask("mutation { signIn(name: \"ann\") { token } }", json!({}))
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
    let viewer = nobody
        .ask(
            "{ viewer { name } room(id: \"room-1\") { name } }",
            json!({}),
        )
        .await;
    assert_eq!(
        viewer["data"],
        json!({ "viewer": null, "room": { "name": "General" } })
    );
    drop(nobody);
    app.finish().await;
}

#[tokio::test]
async fn a_guests_token_is_no_token_of_the_provider() {
    let app = TestApp::start().await;
    let guest = app.sign_in("ann").await;
    let folder = app.finish().await;
    let app = TestApp::on(folder, &["--auth", "jwt", "--jwt-secret", SECRET]).await;
    assert_eq!(app.whoami(&guest).await.0, 401);
    app.finish().await;
}

/// The accounts of a real store, counting what is asked of them.
struct Counted(Sqlite, AtomicUsize);

impl Counted {
    fn count(&self) -> &Sqlite {
        self.1.fetch_add(1, Ordering::SeqCst);
        &self.0
    }

    fn calls(&self) -> usize {
        self.1.swap(0, Ordering::SeqCst)
    }
}

#[async_trait]
impl Accounts for Counted {
    async fn create_user(&self, user: &User) -> Result<(), StoreError> {
        self.count().create_user(user).await
    }

    async fn user(&self, id: &UserId) -> Result<Option<User>, StoreError> {
        self.count().user(id).await
    }

    async fn users(&self, ids: &[UserId]) -> Result<Vec<User>, StoreError> {
        self.count().users(ids).await
    }

    async fn signing_key(&self, candidate: [u8; 32]) -> Result<[u8; 32], StoreError> {
        self.count().signing_key(candidate).await
    }

    async fn subject(
        &self,
        identity: &Identity,
        candidate: &Subject,
        now: Timestamp,
    ) -> Result<Subject, StoreError> {
        self.count().subject(identity, candidate, now).await
    }

    async fn revoke(
        &self,
        token: TokenId,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.count().revoke(token, expires_at, now).await
    }

    async fn is_revoked(&self, token: TokenId) -> Result<bool, StoreError> {
        self.count().is_revoked(token).await
    }

    async fn revocations_head(&self) -> Result<u64, StoreError> {
        self.count().revocations_head().await
    }

    async fn revocations(&self, after: u64, limit: u32) -> Result<Vec<Revocation>, StoreError> {
        self.count().revocations(after, limit).await
    }
}

/// Checks tokens at whatever moment a test says, without a server around it.
struct Bench {
    auth: Auth,
    accounts: Arc<Counted>,
    _folder: Folder,
}

/// The moment of these tests, in seconds.
const NOW: i64 = 1_700_000_000;

impl Bench {
    async fn with(change: impl FnOnce(&mut JwtSettings)) -> Self {
        let folder = Folder::new();
        let store = Sqlite::open(&folder.database(), SqliteLimits::default())
            .await
            .unwrap();
        let accounts = Arc::new(Counted(store, AtomicUsize::new(0)));
        let mut settings = JwtSettings {
            keys: KeySource::Fixed(Box::new(Key::from_pem(&pem("ed.pub.pem")).unwrap())),
            issuer: None,
            audience: None,
            leeway: Duration::from_secs(30),
            operator_claim: Some("https://example.test/operator".to_owned()),
        };
        change(&mut settings);
        let (sign_in, tasks) = (SignIn::Jwt(Box::new(settings)), TaskTracker::new());
        // Calls to the database are counted: none comes by itself.
        let limits = AuthLimits {
            revocations_check_interval: Duration::ZERO,
            ..AuthLimits::default()
        };
        let auth = Auth::start(
            sign_in,
            accounts.clone(),
            limits,
            &tasks,
            Arc::new(|| at(NOW)),
        )
        .await
        .unwrap();
        accounts.calls();
        Self {
            auth,
            accounts,
            _folder: folder,
        }
    }

    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    async fn check(
        &self,
        claims: &Value,
        now: i64,
    ) -> Result<switchboard::domain::Viewer, TokenError> {
        self.auth
            .viewer(&sign("ed.pem", None, claims), at(now))
            .await
    }

    async fn name(&self, user: UserId) -> String {
        self.accounts
            .0
            .user(&user)
            .await
            .unwrap()
            .unwrap()
            .name
            .to_string()
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp(seconds * 1_000_000)
}

#[tokio::test]
async fn times_hold_to_the_second_and_the_leeway() {
    let bench = Bench::start().await;
    let claims = json!({ "sub": "ann", "exp": NOW + 100, "nbf": NOW });
    for (now, expected) in [
        (NOW - 31, Err(TokenError::Early)),
        (NOW - 30, Ok(at(NOW + 130))),
        (NOW + 129, Ok(at(NOW + 130))),
        (NOW + 130, Err(TokenError::Expired)),
    ] {
        assert_eq!(
            bench
                .check(&claims, now)
                .await
                .map(|viewer| viewer.expires_at),
            expected,
            "{now}"
        );
    }
    let odd = |exp: Value| json!({ "sub": "ann", "exp": exp });
    assert_eq!(
        bench.check(&odd(json!(100.5)), 0).await.unwrap().expires_at,
        Timestamp(130_500_000)
    );
    // A moment that has no date is the last one that has one.
    for far in [json!(i64::MAX), json!(u64::MAX), json!(1e300)] {
        let until = bench
            .check(&odd(far.clone()), NOW)
            .await
            .unwrap()
            .expires_at;
        assert_eq!(
            until,
            Timestamp((253_402_300_799 + 30) * 1_000_000),
            "{far}"
        );
    }
}

#[tokio::test]
async fn a_subject_is_one_user_of_its_issuer() {
    let bench = Bench::start().await;
    let of =
        |issuer: &str, subject: &str| json!({ "iss": issuer, "sub": subject, "exp": NOW + 60 });
    let user = async |claims: Value| bench.check(&claims, NOW).await.unwrap().user;
    let ann = user(of("https://a", "ann")).await;
    assert_eq!(user(of("https://a", "ann")).await, ann);
    assert_ne!(user(of("https://b", "ann")).await, ann);
    assert_ne!(user(of("https://a", "Ann")).await, ann);
    assert_ne!(user(json!({ "sub": "ann", "exp": NOW + 60 })).await, ann);
    // Whatever a provider calls its people: this is no text to be parsed.
    for odd in [
        "auth0|5f7c8ec7c33c6c004bbafe82",
        "ann@example.test",
        "usr_00000000000000000000000000000abc",
        " ",
        "ä\u{1f600}",
    ] {
        let first = user(of("https://a", odd)).await;
        assert_eq!(user(of("https://a", odd)).await, first, "{odd:?}");
    }
    // The same user for another server on the same database.
    let tasks = TaskTracker::new();
    let again = Auth::start(
        SignIn::Jwt(Box::new(JwtSettings {
            keys: KeySource::Fixed(Box::new(Key::from_pem(&pem("ed.pub.pem")).unwrap())),
            issuer: None,
            audience: None,
            leeway: Duration::ZERO,
            operator_claim: None,
        })),
        bench.accounts.clone(),
        AuthLimits::default(),
        &tasks,
        Arc::new(|| at(NOW)),
    );
    let viewer = again
        .await
        .unwrap()
        .viewer(&sign("ed.pem", None, &of("https://a", "ann")), at(NOW))
        .await;
    assert_eq!(viewer.unwrap().user, ann);
}

#[tokio::test]
async fn a5_a_known_subject_costs_no_call_to_the_database() {
    let bench = Bench::start().await;
    let claims = |iat: i64| json!({ "sub": "ann", "name": "Ann", "iat": iat, "exp": NOW + 60 });
    bench.check(&claims(NOW - 5), NOW).await.unwrap();
    assert_eq!(bench.accounts.calls(), 1);
    for iat in [NOW - 5, NOW - 4, NOW] {
        bench.check(&claims(iat), NOW).await.unwrap();
    }
    assert_eq!(bench.accounts.calls(), 0);
    let together = (0..20).map(|_| async {
        bench
            .check(&json!({ "sub": "bob", "exp": NOW + 60 }), NOW)
            .await
            .unwrap()
            .user
    });
    let users = futures::future::join_all(together).await;
    assert!(users.iter().all(|user| *user == users[0]));
    assert_eq!(
        bench.accounts.calls(),
        1,
        "a crowd that comes at once is one call"
    );
}

#[tokio::test]
async fn the_name_follows_the_provider_and_an_older_token_does_not_take_it_back() {
    let bench = Bench::start().await;
    let named =
        |name: &str, iat: i64| json!({ "sub": "ann", "name": name, "iat": iat, "exp": NOW + 60 });
    let ann = bench
        .check(&named("Ann", NOW - 20), NOW)
        .await
        .unwrap()
        .user;
    assert_eq!(bench.name(ann).await, "Ann");
    bench.check(&named("Anna", NOW - 10), NOW).await.unwrap();
    assert_eq!(bench.name(ann).await, "Anna");
    bench.accounts.calls();
    bench.check(&named("Ann", NOW - 20), NOW).await.unwrap();
    assert_eq!(
        (bench.name(ann).await.as_str(), bench.accounts.calls()),
        ("Anna", 0),
        "old and new tokens take turns"
    );

    let called = async |claims: Value| {
        let user = bench.check(&claims, NOW).await.unwrap().user;
        bench.name(user).await
    };
    let of = |subject: &str, more: Value| {
        let mut claims = json!({ "sub": subject, "exp": NOW + 60 });
        claims
            .as_object_mut()
            .unwrap()
            .append(&mut more.as_object().unwrap().clone());
        claims
    };
    assert_eq!(
        called(of("s1", json!({ "preferred_username": "bob" }))).await,
        "bob"
    );
    assert_eq!(
        called(of(
            "s2",
            json!({ "name": " ", "preferred_username": "bob" })
        ))
        .await,
        "bob"
    );
    assert_eq!(called(of("s3", json!({ "name": null }))).await, "s3");
    assert_eq!(called(of(" ", json!({}))).await, "somebody");
    assert_eq!(
        called(of("s4", json!({ "name": "\u{0}a\u{0}b" }))).await,
        "ab"
    );
    assert_eq!(
        called(of("s5", json!({ "name": "ä".repeat(100) }))).await,
        "ä".repeat(64)
    );
    assert_eq!(
        bench.check(&of("s6", json!({ "name": 7 })), NOW).await,
        Err(TokenError::Claim("name"))
    );
}

#[tokio::test]
async fn an_operator_is_who_has_the_claim_as_true() {
    let bench = Bench::start().await;
    let claim = "https://example.test/operator";
    for (value, expected) in [
        (json!(true), true),
        (json!(false), false),
        (json!("true"), false),
        (json!(1), false),
        (json!([true]), false),
    ] {
        let mut claims = json!({ "sub": "ann", "exp": NOW + 60 });
        claims[claim] = value.clone();
        assert_eq!(
            bench.check(&claims, NOW).await.unwrap().operator,
            expected,
            "{value}"
        );
    }
    let bench = Bench::with(|settings| settings.operator_claim = None).await;
    let claims = json!({ "sub": "ann", "exp": NOW + 60, "operator": true });
    assert!(
        !bench.check(&claims, NOW).await.unwrap().operator,
        "nobody said which claim"
    );
}

#[tokio::test]
async fn without_an_audience_of_its_own_a_server_refuses_tokens_that_have_one() {
    let bench = Bench::start().await;
    let claims = |aud: Value| json!({ "sub": "ann", "exp": NOW + 60, "aud": aud });
    assert_eq!(
        bench.check(&claims(json!("other")), NOW).await,
        Err(TokenError::Audience)
    );
    assert_eq!(
        bench.check(&claims(json!(["other"])), NOW).await,
        Err(TokenError::Audience)
    );
    for unreadable in [
        json!({}),
        json!(7),
        json!(true),
        json!([["other"]]),
        json!([{}]),
        json!([7]),
        json!([null]),
    ] {
        let refused = bench.check(&claims(unreadable.clone()), NOW).await;
        assert_eq!(refused, Err(TokenError::Claim("aud")), "{unreadable}");
    }
    for nobody in [json!(null), json!([])] {
        assert!(bench.check(&claims(nobody), NOW).await.is_ok());
    }
    let bench = Bench::with(|settings| settings.audience = Some("us".to_owned())).await;
    for us in [json!("us"), json!(["them", "us"])] {
        assert!(bench.check(&claims(us), NOW).await.is_ok());
    }
    assert_eq!(
        bench.check(&claims(json!(["us", ["them"]])), NOW).await,
        Err(TokenError::Claim("aud"))
    );
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
    ann.send("room-1", "hello").await;
    let query = "{ messages(roomId: \"room-1\", last: 1) { nodes { text sender { name } } } }";
    let reply = http::post(app.address(), &json!({ "query": query }).to_string(), &[]).await;
    assert_eq!(
        reply.json()["data"]["messages"]["nodes"],
        json!([{ "text": "hello", "sender": { "name": "ann" } }])
    );
    drop(ann);
    app.finish().await;
}
