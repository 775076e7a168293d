//! Numbers in documents and in variables.

use serde_json::json;

use crate::{
    prepare::{refusal, request, run},
    support::core::Core,
};

#[tokio::test]
async fn an_id_may_have_any_number_of_digits() {
    let core = Core::start().await;
    let none = json!({ "data": { "room": null }, "codes": [] });
    let long = "12345678901234567890123";
    for query in [
        format!("{{ room(id: {long}) {{ id }} }}"),
        format!("query($id: ID! = {long}) {{ room(id: $id) {{ id }} }}"),
        format!("{{ ...F }} fragment F on Query {{ room(id: -{long}) {{ id }} }}"),
    ] {
        assert_eq!(run(&core, &query, json!({})).await, none, "{query}");
    }
    let page = format!("{{ messages(roomId: \"room-1\", last: {long}) {{ nodes {{ id }} }} }}");
    assert_eq!(
        refusal(&core, &page, json!({})).await,
        "GRAPHQL_VALIDATION_FAILED"
    );
}

#[tokio::test]
async fn a_variable_of_type_int_takes_whole_numbers_however_they_are_written() {
    let core = Core::start().await;
    let query = "query($n: Int) { messages(roomId: \"room-1\", last: $n) { nodes { id } } }";
    for whole in ["1.0", "1e1", "10E0", "-0.0", "5"] {
        let variables = serde_json::from_str(&format!("{{\"n\":{whole}}}")).unwrap();
        let given = core.schema.prepare(request(query, variables));
        assert!(given.is_ok(), "{whole}");
    }
    for other in ["1.5", "3e10", "1e300", "\"1\"", "true"] {
        let variables = serde_json::from_str(&format!("{{\"n\":{other}}}")).unwrap();
        assert_eq!(
            refusal(&core, query, variables).await,
            "BAD_USER_INPUT",
            "{other}"
        );
    }
}
