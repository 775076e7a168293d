//! How requests are prepared: limits on documents, and checks that the GraphQL library lacks or
//! gets wrong.

use async_graphql::{ServerError, Variables};
use serde_json::{Value, json};
use switchboard::{
    domain::Caller,
    schema::{Answer, Prepared, Request, RequestContext},
};

use crate::support::core::{Core, take_frames};

pub(crate) fn request(query: &str, variables: Value) -> Request {
    Request {
        query: query.to_owned(),
        operation_name: None,
        variables: Variables::from_json(variables),
    }
}

fn code(errors: &[ServerError]) -> String {
    let code = errors[0]
        .extensions
        .as_ref()
        .and_then(|extensions| extensions.get("code"));
    code.map(ToString::to_string)
        .unwrap_or_default()
        .trim_matches('"')
        .to_owned()
}

fn prepared(core: &Core, query: &str, variables: Value) -> Prepared {
    core.schema
        .prepare(request(query, variables))
        .unwrap_or_else(|errors| panic!("{query}: {errors:?}"))
}

/// The error code with which a request is refused before execution.
pub(crate) async fn refusal(core: &Core, query: &str, variables: Value) -> String {
    let prepared = match core.schema.prepare(request(query, variables)) {
        Ok(prepared) => prepared,
        Err(errors) => return code(&errors),
    };
    match core
        .schema
        .execute(
            prepared,
            Caller::Anonymous,
            &RequestContext::default(),
            None,
        )
        .await
    {
        Answer::Refused(errors) => code(&errors),
        Answer::Executed(response) => panic!("{query} was executed: {response:?}"),
    }
}

/// The data and the error codes of a request that is executed.
pub(crate) async fn run(core: &Core, query: &str, variables: Value) -> Value {
    match core
        .schema
        .execute(
            prepared(core, query, variables),
            Caller::Anonymous,
            &RequestContext::default(),
            None,
        )
        .await
    {
        Answer::Executed(response) => {
            let codes: Vec<_> = response
                .errors
                .iter()
                .map(|error| code(std::slice::from_ref(error)))
                .collect();
            json!({ "data": response.data.into_json().unwrap(), "codes": codes })
        }
        Answer::Refused(errors) => panic!("{query}: {errors:?}"),
    }
}

#[tokio::test]
async fn thirty_levels_of_doubling_fragments_are_refused_before_execution() {
    let core = Core::start().await;
    let mut text = "query { viewer { ...f0 } }".to_owned();
    for level in 0..30 {
        text.push_str(&format!(
            " fragment f{level} on User {{ ...f{0} ...f{0} }}",
            level + 1
        ));
    }
    text.push_str(" fragment f30 on User { id }");
    assert_eq!(refusal(&core, &text, json!({})).await, "TOO_COMPLEX");
    // Fragments that are not used are bounded too.
    let unused = text.replace("viewer { ...f0 }", "viewer { id }");
    assert_eq!(refusal(&core, &unused, json!({})).await, "TOO_COMPLEX");
}

async fn assert_lists_count_with_their_length(core: &Core) {
    // A list counts with its maximum length, even if a variable sets it.
    let lists = "query ($n: Int) { rooms(first: 100) { nodes { messages(first: $n) { nodes { id text } } } } }";
    assert_eq!(
        run(core, lists, json!({ "n": 50 })).await["codes"],
        json!([])
    );
    assert_eq!(
        refusal(core, lists, json!({ "n": 100 })).await,
        "TOO_COMPLEX"
    );
}

#[tokio::test]
async fn g4_documents_are_accepted_at_each_limit_and_refused_beyond_it() {
    let core = Core::start().await;
    let nested = |levels: usize| {
        let (open, close) = (
            " { messages { nodes { room".repeat(levels),
            " } } }".repeat(levels),
        );
        format!("{{ room(id: \"room-1\") {open} {{ id }} {close} }}")
    };
    assert_eq!(run(&core, &nested(1), json!({})).await["codes"], json!([]));
    assert_eq!(refusal(&core, &nested(9), json!({})).await, "TOO_COMPLEX");
    let aliases = |count: usize| {
        (0..count)
            .map(|n| format!("a{n}: __typename "))
            .collect::<String>()
    };
    assert_eq!(
        run(&core, &format!("{{ {} }}", aliases(100)), json!({})).await["codes"],
        json!([])
    );
    assert_eq!(
        refusal(&core, &format!("{{ {} }}", aliases(101)), json!({})).await,
        "TOO_COMPLEX"
    );
    let directives =
        |count: usize| format!("{{ __typename {} }}", "@include(if: true) ".repeat(count));
    assert_eq!(
        refusal(&core, &directives(101), json!({})).await,
        "TOO_COMPLEX"
    );
    let fields = |count: usize| format!("{{ {} }}", "__typename ".repeat(count));
    assert_eq!(
        run(&core, &fields(1000), json!({})).await["codes"],
        json!([])
    );
    assert_eq!(
        refusal(&core, &fields(1001), json!({})).await,
        "TOO_COMPLEX"
    );
    assert_eq!(
        refusal(&core, &fields(5001), json!({})).await,
        "TOO_COMPLEX"
    );
    assert_eq!(
        refusal(
            &core,
            &format!("{{ __typename }} #{}", "x".repeat(65_536)),
            json!({})
        )
        .await,
        "TOO_COMPLEX"
    );
    assert_eq!(
        refusal(&core, &format!("{{ a(x: {}", "[".repeat(60_000)), json!({})).await,
        "TOO_COMPLEX"
    );
    assert_lists_count_with_their_length(&core).await;
}

#[tokio::test]
async fn recursive_fragments_are_refused() {
    let core = Core::start().await;
    let cycle = "{ viewer { ...a } } fragment a on User { ...b } fragment b on User { ...a }";
    assert_eq!(
        refusal(&core, cycle, json!({})).await,
        "GRAPHQL_VALIDATION_FAILED"
    );
    let root = "subscription { ...a } fragment a on Subscription { ...a }";
    assert_eq!(
        refusal(&core, root, json!({})).await,
        "GRAPHQL_VALIDATION_FAILED"
    );
}

#[tokio::test]
async fn the_introspection_query_of_clients_is_within_the_limits() {
    let core = Core::start().await;
    let of_types = "ofType { kind name ".repeat(9) + &"}".repeat(9);
    let query = format!(
        "query IntrospectionQuery {{ __schema {{ queryType {{ name kind }} mutationType {{ name }} subscriptionType {{ name }}
           types {{ ...FullType }} directives {{ name description locations args(includeDeprecated: true) {{ ...InputValue }} }} }} }}
         fragment FullType on __Type {{ kind name description specifiedByURL
           fields(includeDeprecated: true) {{ name description args(includeDeprecated: true) {{ ...InputValue }}
             type {{ ...TypeRef }} isDeprecated deprecationReason }}
           inputFields(includeDeprecated: true) {{ ...InputValue }} interfaces {{ ...TypeRef }}
           enumValues(includeDeprecated: true) {{ name description isDeprecated deprecationReason }}
           possibleTypes {{ ...TypeRef }} }}
         fragment InputValue on __InputValue {{ name description type {{ ...TypeRef }} defaultValue isDeprecated deprecationReason }}
         fragment TypeRef on __Type {{ kind name {of_types} }}"
    );
    let result = run(&core, &query, json!({})).await;
    assert_eq!(result["codes"], json!([]));
    assert_eq!(
        result["data"]["__schema"]["subscriptionType"]["name"],
        "Subscription"
    );
}

/// Checks that the default of an argument applies if its variable is missing.
async fn assert_missing_variables_are_not_null(core: &Core) {
    let first = "query ($first: Int) { rooms(first: $first) { nodes { id } } }";
    let rooms = json!({ "rooms": { "nodes": [{ "id": "room-1" }] } });
    assert_eq!(run(core, first, json!({})).await["data"], rooms);
    assert_eq!(run(core, first, json!({ "first": 1 })).await["data"], rooms);
    for variables in [
        json!({ "first": "1" }),
        json!({ "first": 1.5 }),
        json!({ "first": 3_000_000_000_u64 }),
    ] {
        assert_eq!(
            refusal(core, first, variables.clone()).await,
            "BAD_USER_INPUT",
            "{variables}"
        );
    }
}

#[tokio::test]
async fn variables_follow_their_definitions() {
    let core = Core::start().await;
    let include = "query ($yes: Boolean! = true, $no: Boolean! = false) {
        a: __typename @include(if: $yes) b: __typename @include(if: $no) c: __typename @skip(if: $yes) }";
    assert_eq!(
        run(&core, include, json!({})).await["data"],
        json!({ "a": "Query" })
    );
    assert_eq!(
        run(&core, include, json!({ "yes": false, "no": true })).await["data"],
        json!({ "b": "Query", "c": "Query" })
    );

    let room = "query ($id: ID!) { room(id: $id) { id } }";
    for variables in [
        json!({}),
        json!({ "id": null }),
        json!({ "id": {} }),
        json!({ "id": true }),
        json!({ "id": 1.5 }),
    ] {
        assert_eq!(
            refusal(&core, room, variables.clone()).await,
            "BAD_USER_INPUT",
            "{variables}"
        );
    }
    assert_eq!(
        run(&core, room, json!({ "id": 7, "unknown": 1 })).await["data"],
        json!({ "room": null })
    );

    assert_missing_variables_are_not_null(&core).await;
    let unused =
        "query ($cursor: Cursor) { messages(roomId: \"room-1\", after: $cursor) { nodes { id } } }";
    assert_eq!(
        run(&core, unused, json!({})).await["data"],
        json!({ "messages": { "nodes": [] } })
    );
    let undefined = "{ room(id: $id) { id } }";
    assert_eq!(
        refusal(&core, undefined, json!({ "id": "room-1" })).await,
        "GRAPHQL_VALIDATION_FAILED"
    );
    let visibility =
        "mutation ($v: Visibility!) { createRoom(name: \"x\", visibility: $v) { id } }";
    assert_eq!(
        refusal(&core, visibility, json!({ "v": "SECRET" })).await,
        "BAD_USER_INPUT"
    );
    assert_eq!(
        run(&core, visibility, json!({ "v": "PRIVATE" })).await["codes"],
        json!(["UNAUTHENTICATED"])
    );
}

#[tokio::test]
async fn request_errors_are_distinguished_from_execution_errors() {
    let core = Core::start().await;
    let result = run(&core, "mutation { a: sendMessage(roomId: \"room-1\", text: \"x\") { id } b: signIn(name: \"bob\") { viewer { name } } }", json!({})).await;
    assert_eq!(
        result,
        json!({ "data": { "a": null, "b": { "viewer": { "name": "bob" } } }, "codes": ["UNAUTHENTICATED"] })
    );
    let result = run(
        &core,
        "{ messages(roomId: \"none\") { nodes { id } } }",
        json!({}),
    )
    .await;
    assert_eq!(result, json!({ "data": null, "codes": ["NOT_FOUND"] }));
    assert_eq!(
        refusal(&core, "{ messages(roomId: \"none\") { nope } }", json!({})).await,
        "GRAPHQL_VALIDATION_FAILED"
    );
}

#[tokio::test]
async fn the_root_of_a_subscription_is_one_plain_field() {
    let core = Core::start().await;
    let field = "newMessage(roomId: \"room-1\")";
    for refused in [
        format!("subscription {{ {field} {{ id }} other: {field} {{ id }} }}"),
        format!("subscription {{ {field} {{ id }} newMessage(roomId: \"room-2\") {{ id }} }}"),
        format!("subscription {{ {field} @include(if: true) {{ id }} }}"),
        format!("subscription {{ ... @skip(if: false) {{ {field} {{ id }} }} }}"),
        format!(
            "subscription {{ ...f @include(if: true) }} fragment f on Subscription {{ {field} {{ id }} }}"
        ),
        "subscription { __typename }".to_owned(),
        format!("subscription {{ {field} {{ id }} __typename }}"),
        format!(
            "subscription {{ ...f }} fragment f on Subscription {{ {field} {{ id }} __typename }}"
        ),
        format!("subscription {{ ... on Query {{ {field} {{ id }} }} }}"),
        "subscription { ...none }".to_owned(),
    ] {
        assert_eq!(
            refusal(&core, &refused, json!({})).await,
            "GRAPHQL_VALIDATION_FAILED",
            "{refused}"
        );
    }
}

/// The message and the code with which a document is refused while it is prepared.
fn sentence(core: &Core, query: &str) -> (String, String) {
    let errors = core
        .schema
        .prepare(request(query, json!({})))
        .expect_err(query);
    assert_eq!(errors[0].locations.len(), 1, "{query}: {errors:?}");
    (errors[0].message.clone(), code(&errors))
}

async fn assert_similar_names_are_not_affected(core: &Core) {
    assert_eq!(
        refusal(core, "{ viewer @deferred { id } }", json!({})).await,
        "GRAPHQL_VALIDATION_FAILED"
    );
    assert_eq!(
        run(core, "{ defer: __typename }", json!({})).await["data"],
        json!({ "defer": "Query" })
    );
}

#[tokio::test]
async fn defer_and_stream_are_refused_wherever_they_appear() {
    let core = Core::start().await;
    let message = "newMessage(roomId: \"room-1\")";
    for (name, query) in [
        ("defer", "{ viewer { ... @defer { id } } }".to_owned()),
        (
            "defer",
            "{ ...f @defer(label: \"l\", if: false) } fragment f on Query { viewer { id } }"
                .to_owned(),
        ),
        (
            "defer",
            "mutation { signIn(name: \"x\") { ... @defer { token } } }".to_owned(),
        ),
        (
            "stream",
            "{ rooms { nodes @stream(initialCount: 1) { id } } }".to_owned(),
        ),
        (
            "stream",
            "{ viewer { id } } fragment unused on RoomConnection { nodes @stream { id } }"
                .to_owned(),
        ),
        (
            "stream",
            "query A { viewer { id } } query B { rooms { nodes @stream { id } } }".to_owned(),
        ),
        (
            "defer",
            format!("subscription {{ {message} {{ ... @defer {{ text }} }} }}"),
        ),
        (
            "defer",
            format!("subscription {{ ... @defer {{ {message} {{ text }} }} }}"),
        ),
        (
            "stream",
            format!("subscription {{ {message} @stream {{ text }} }}"),
        ),
        (
            "defer",
            format!("subscription @defer {{ {message} {{ text }} }}"),
        ),
    ] {
        // The whole document is checked, even if another operation is selected.
        let selected = Request {
            operation_name: query.contains("query A").then(|| "A".to_owned()),
            ..request(&query, json!({}))
        };
        let errors = core.schema.prepare(selected).expect_err(&query);
        let expected =
            format!("@{name} is not supported: the server sends each result in one piece.");
        assert_eq!(
            (errors[0].message.as_str(), code(&errors).as_str()),
            (&*expected, "GRAPHQL_VALIDATION_FAILED"),
            "{query}"
        );
    }
    assert_similar_names_are_not_affected(&core).await;
}

#[tokio::test]
async fn skip_and_include_on_the_root_of_a_subscription_are_refused_with_a_reason() {
    let core = Core::start().await;
    for (name, query) in [
        (
            "include",
            "subscription { newMessage(roomId: \"room-1\") @include(if: true) { id } }",
        ),
        (
            "skip",
            "subscription { ... @skip(if: false) { newMessage(roomId: \"room-1\") { id } } }",
        ),
        (
            "skip",
            "subscription { ...f @skip(if: false) } fragment f on Subscription { newMessage(roomId: \"a\") { id } }",
        ),
        (
            "include",
            "subscription ($x: Boolean!) { newMessage(roomId: \"room-1\") @include(if: $x) { id } }",
        ),
    ] {
        let expected = format!(
            "@{name} is not supported on the root of a subscription, whose only field cannot be left out."
        );
        assert_eq!(
            sentence(&core, query),
            (expected, "GRAPHQL_VALIDATION_FAILED".to_owned()),
            "{query}"
        );
    }
}

#[tokio::test]
async fn root_fragments_and_equal_root_fields_give_one_stream() {
    let core = Core::start().await;
    for query in [
        "subscription { ...f } fragment f on Subscription { newMessage(roomId: \"room-1\") { text } }",
        "subscription { ... on Subscription { newMessage(roomId: \"room-1\") { text } } }",
        "subscription { ... { ...f ...f } } fragment f on Subscription { newMessage(roomId: \"room-1\") { ...t } } fragment t on Message { text }",
        "subscription { newMessage(roomId: \"room-1\") { text } newMessage(roomId: \"room-1\") { text } }",
    ] {
        let mut reader = core
            .views
            .subscribe(
                prepared(&core, query, json!({})),
                Caller::Anonymous,
                None,
                None,
            )
            .await
            .unwrap();
        let next = core
            .hub
            .enter(&"room-1".parse().unwrap())
            .await
            .unwrap()
            .unwrap()
            .head()
            .0
            + 1;
        core.send_messages(next..=next + 1).await;
        let frames = take_frames(&mut reader, 2).await;
        assert!(
            frames[0]
                .payload
                .starts_with(&format!(r#"{{"data":{{"newMessage":{{"text":"{next}"}}}}"#)),
            "{frames:?}"
        );
    }
}

#[tokio::test]
async fn equivalent_documents_share_a_plan() {
    let core = Core::start().await;
    let key = |query: &str, variables: Value| prepared(&core, query, variables).plan().key.clone();
    let plain = key(
        "subscription { newMessage(roomId: \"a\") { id text } }",
        json!({}),
    );
    for same in [
        "subscription S { newMessage(roomId: \"b\", after: \"c\") { id, text } }",
        "subscription ($r: ID = \"z\", $a: Cursor) { newMessage(roomId: \"a\", after: $a) { id text } }",
        "subscription { ...f } fragment f on Subscription { newMessage(roomId: \"a\") { id text } }",
    ] {
        assert_eq!(
            key(same, json!({ "a": "x", "unknown": 1 })),
            plain,
            "{same}"
        );
    }
    for other in [
        "subscription { newMessage(roomId: \"a\") { text id } }",
        "subscription { newMessage(roomId: \"a\") { id } }",
        "subscription { m: newMessage(roomId: \"a\") { id text } }",
        "subscription { newMessage(roomId: \"a\") { id t: text } }",
        "subscription { newMessage(roomId: \"a\") { id text @skip(if: false) } }",
    ] {
        assert_ne!(key(other, json!({})), plain, "{other}");
    }
    let with =
        "subscription ($x: Boolean!) { newMessage(roomId: \"a\") { id text @skip(if: $x) } }";
    assert_ne!(
        key(with, json!({ "x": true })),
        key(with, json!({ "x": false }))
    );
}

#[tokio::test]
async fn unknown_and_misplaced_directives_are_refused() {
    let core = Core::start().await;
    for (query, reason) in [
        ("{ __typename @a }", "Unknown directive \"@a\"."),
        (
            "{ ...f @a } fragment f on Query { __typename }",
            "Unknown directive \"@a\".",
        ),
        ("{ ... @a { __typename } }", "Unknown directive \"@a\"."),
        ("query @a { __typename }", "Unknown directive \"@a\"."),
        (
            "query ($x: Int @a) { __typename }",
            "Unknown directive \"@a\".",
        ),
        (
            "{ ...f } fragment f on Query @a { __typename }",
            "Unknown directive \"@a\".",
        ),
        (
            "query @skip(if: true) { __typename }",
            "may be used only on a field",
        ),
        ("{ __typename @deprecated }", "belongs to a schema"),
        (
            "{ __typename @specifiedBy(url: \"x\") }",
            "belongs to a schema",
        ),
        (
            "{ __typename @include(unless: true) }",
            "Unknown argument \"unless\"",
        ),
    ] {
        let errors = core
            .schema
            .prepare(request(query, json!({})))
            .expect_err(query);
        assert_eq!(
            (code(&errors).as_str(), errors[0].locations.len()),
            ("GRAPHQL_VALIDATION_FAILED", 1),
            "{query}"
        );
        assert!(
            errors[0].message.contains(reason),
            "{query}: {}",
            errors[0].message
        );
    }
    let query = "{ a: __typename @skip(if: true) b: __typename @include(if: true) ... @skip(if: false) { c: __typename } }";
    assert_eq!(
        run(&core, query, json!({})).await["data"],
        json!({ "b": "Query", "c": "Query" })
    );
}
