//! Content negotiation: the forms in which a client accepts its response.

use axum::http::{HeaderMap, header};

/// The two JSON media types of GraphQL over HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Media {
    /// `application/json`: a request error still has status 200, so that old clients read it.
    Json,
    /// `application/graphql-response+json`: the status says whether the request was executed.
    GraphqlResponse,
}

impl Media {
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json; charset=utf-8",
            Self::GraphqlResponse => "application/graphql-response+json; charset=utf-8",
        }
    }
}

/// The form of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// One JSON text.
    Single(Media),
    /// `text/event-stream`: graphql-sse.
    EventStream,
    /// `multipart/mixed;subscriptionSpec=1.0`: Apollo's multipart subscriptions.
    Multipart,
}

/// The forms that a client accepts, in the order of its `Accept` header, with their qualities in
/// thousandths.
#[derive(Clone, Debug)]
pub(crate) struct Accepts(Vec<(Form, u32)>);

impl Accepts {
    /// Reads the `Accept` header. Without one, the client accepts JSON.
    pub(crate) fn read(headers: &HeaderMap) -> Self {
        if !headers.contains_key(header::ACCEPT) {
            return Self(vec![(Form::Single(Media::Json), 1000)]);
        }
        let accepted = ranges(headers)
            .into_iter()
            .filter(|range| range.quality > 0);
        Self(
            accepted
                .filter_map(|range| Some((range.form()?, range.quality)))
                .collect(),
        )
    }

    /// Whether the client accepts no form that the server has.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn accepts_form(&self, form: Form) -> bool {
        self.0.iter().any(|(accepted, _)| *accepted == form)
    }

    /// The JSON media type for an error that occurs before anything else was sent.
    pub(crate) fn media(&self) -> Media {
        match self.best(|form| matches!(form, Form::Single(_))) {
            Some(Form::Single(media)) => media,
            _ => Media::Json,
        }
    }

    /// The form of the response to a query or a mutation. It is multipart only if the client
    /// accepts nothing else: Apollo's clients list multipart beside JSON in every request.
    pub(crate) fn for_answer(&self) -> Option<Form> {
        self.best(|form| form != Form::Multipart)
            .or_else(|| self.best(|_| true))
    }

    /// The form of the response to a subscription.
    pub(crate) fn for_stream(&self) -> Option<Form> {
        self.best(|form| !matches!(form, Form::Single(_)))
    }

    /// The form with the highest quality. Among equals the first one, which clients prefer.
    fn best(&self, fits: impl Fn(Form) -> bool) -> Option<Form> {
        let offered = self.0.iter().filter(|(form, _)| fits(*form));
        offered
            .reduce(|best, next| if next.1 > best.1 { next } else { best })
            .map(|(form, _)| *form)
    }
}

/// One entry of `Accept`.
struct MediaRange {
    /// In lower case.
    media: String,
    /// Names in lower case; values without their quotes.
    parameters: Vec<(String, String)>,
    /// In thousandths, so that qualities compare as whole numbers.
    quality: u32,
}

impl MediaRange {
    fn read(entry: &str) -> Self {
        let mut parts = split_outside_quotes(entry, ';').into_iter();
        let media = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
        let parameters: Vec<_> = parts
            .filter_map(|part| part.split_once('='))
            .map(|(name, value)| {
                (
                    name.trim().to_ascii_lowercase(),
                    value.trim().trim_matches('"').to_owned(),
                )
            })
            .collect();
        let quality = parameters
            .iter()
            .find(|(name, _)| name == "q")
            .and_then(|(_, value)| value.parse().ok());
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to 0 to 1000"
        )]
        let thousandths = (quality.unwrap_or(1.0_f32).clamp(0.0, 1.0) * 1000.0) as u32;
        Self {
            media,
            parameters,
            quality: thousandths,
        }
    }

    fn form(&self) -> Option<Form> {
        match self.media.as_str() {
            "application/graphql-response+json" => Some(Form::Single(Media::GraphqlResponse)),
            "application/json" | "application/*" | "*/*" => Some(Form::Single(Media::Json)),
            "text/event-stream" => Some(Form::EventStream),
            // Without this parameter it belongs to another protocol.
            "multipart/mixed" => {
                let spec = self
                    .parameters
                    .iter()
                    .find(|(name, _)| name == "subscriptionspec")?;
                (spec.1 == "1.0").then_some(Form::Multipart)
            }
            _ => None,
        }
    }
}

fn ranges(headers: &HeaderMap) -> Vec<MediaRange> {
    let values = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| split_outside_quotes(value, ','))
        .map(MediaRange::read)
        .collect()
}

fn split_outside_quotes(text: &str, separator: char) -> Vec<&str> {
    let mut quoted = false;
    let is_separator = |c: char| {
        quoted ^= c == '"';
        c == separator && !quoted
    };
    text.split(is_separator).collect()
}

/// Whether the client accepts HTML, as a browser does that navigates.
pub(crate) fn wants_html(headers: &HeaderMap) -> bool {
    ranges(headers)
        .iter()
        .any(|range| range.media == "text/html")
}

/// Whether the client accepts plain text, which is the form of a stream's token.
pub(crate) fn accepts_plain_text(headers: &HeaderMap) -> bool {
    let accepts = |range: &MediaRange| {
        range.quality > 0 && matches!(range.media.as_str(), "*/*" | "text/*" | "text/plain")
    };
    !headers.contains_key(header::ACCEPT) || ranges(headers).iter().any(accepts)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const JSON: Option<Form> = Some(Form::Single(Media::Json));
    const GRAPHQL: Option<Form> = Some(Form::Single(Media::GraphqlResponse));
    const SSE: Option<Form> = Some(Form::EventStream);
    const PARTS: Option<Form> = Some(Form::Multipart);

    fn accepts(accept: &str) -> Accepts {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_str(accept).unwrap());
        Accepts::read(&headers)
    }

    #[test]
    fn the_first_form_with_the_highest_quality_wins() {
        for (accept, answer, stream) in [
            ("*/*", JSON, None),
            ("application/json", JSON, None),
            ("application/graphql-response+json", GRAPHQL, None),
            (
                "application/graphql-response+json; charset=utf-8, application/json",
                GRAPHQL,
                None,
            ),
            (
                "application/json;q=0.5, application/graphql-response+json;q=0.9",
                GRAPHQL,
                None,
            ),
            ("application/graphql-response+json;q=0, */*", JSON, None),
            ("text/html, application/*;q=0.1", JSON, None),
            ("text/event-stream", SSE, SSE),
            ("Text/Event-Stream;charset=utf-8", SSE, SSE),
            ("application/json, text/event-stream", JSON, SSE),
            ("text/event-stream, */*", SSE, SSE),
            ("text/event-stream;q=0, */*", JSON, None),
            ("text/event-stream;Q=0.0", None, None),
            (
                r#"multipart/mixed;subscriptionSpec="1.0", application/json"#,
                JSON,
                PARTS,
            ),
            (
                "multipart/mixed; boundary=\"graphql\"; subscriptionSpec=1.0",
                PARTS,
                PARTS,
            ),
            (
                r#"multipart/mixed;boundary="a,b;c";subscriptionspec="1.0""#,
                PARTS,
                PARTS,
            ),
            (
                "multipart/mixed;deferSpec=20220824, application/json",
                JSON,
                None,
            ),
            ("multipart/mixed;subscriptionSpec=2.0", None, None),
            ("multipart/mixed", None, None),
            (
                "text/event-stream, multipart/mixed;subscriptionSpec=1.0",
                SSE,
                SSE,
            ),
            (
                "text/event-stream;q=0.5, multipart/mixed;subscriptionSpec=1.0",
                SSE,
                PARTS,
            ),
            ("text/html", None, None),
            ("", None, None),
        ] {
            let accepts = accepts(accept);
            assert_eq!(
                (accepts.for_answer(), accepts.for_stream()),
                (answer, stream),
                "{accept}"
            );
        }
        assert_eq!(Accepts::read(&HeaderMap::new()).for_answer(), JSON);
    }

    #[test]
    fn errors_use_the_json_type_that_is_accepted() {
        assert_eq!(accepts("text/event-stream").media(), Media::Json);
        assert_eq!(
            accepts("text/event-stream, application/graphql-response+json").media(),
            Media::GraphqlResponse
        );
    }
}
