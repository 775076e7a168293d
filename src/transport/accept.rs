//! Which media type a client wants its answer in.

use axum::http::{HeaderMap, header};

/// The two media types of GraphQL over HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Media {
    /// `application/json`: a request error is still 200, so that old clients read it.
    Json,
    /// `application/graphql-response+json`: the status tells.
    GraphqlResponse,
}

impl Media {
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json; charset=utf-8",
            Self::GraphqlResponse => "application/graphql-response+json; charset=utf-8",
        }
    }
}

/// One entry of `Accept`: the range in lower case, and its quality in thousandths.
fn ranges(headers: &HeaderMap) -> impl Iterator<Item = (String, u32)> {
    let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|entry| {
        let mut parts = entry.split(';').map(str::trim);
        let range = parts.next().unwrap_or_default().to_ascii_lowercase();
        let quality = parts.find_map(|parameter| parameter.strip_prefix("q=")?.parse::<f32>().ok()).unwrap_or(1.0);
        // In thousandths, so that qualities are compared as whole numbers.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0 to 1000")]
        let thousandths = (quality.clamp(0.0, 1.0) * 1000.0) as u32;
        (range, thousandths)
    })
}

/// The media type to answer in, or none if the client takes neither.
pub(super) fn negotiate(headers: &HeaderMap) -> Option<Media> {
    if !headers.contains_key(header::ACCEPT) {
        return Some(Media::Json);
    }
    let offered = ranges(headers).filter(|(_, quality)| *quality > 0).filter_map(|(range, quality)| {
        let media = match range.as_str() {
            "application/graphql-response+json" => Media::GraphqlResponse,
            "application/json" | "application/*" | "*/*" => Media::Json,
            _ => return None,
        };
        Some((media, quality))
    });
    // The first of the best: a client lists what it likes more before what it likes less.
    offered.reduce(|best, next| if next.1 > best.1 { next } else { best }).map(|(media, _)| media)
}

/// Whether a browser asks for a page.
pub(super) fn wants_html(headers: &HeaderMap) -> bool {
    ranges(headers).any(|(range, _)| range == "text/html")
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn the_first_of_the_best_wins() {
        for (accept, expected) in [
            ("*/*", Some(Media::Json)),
            ("application/json", Some(Media::Json)),
            ("application/graphql-response+json", Some(Media::GraphqlResponse)),
            ("application/graphql-response+json; charset=utf-8, application/json", Some(Media::GraphqlResponse)),
            ("application/json;q=0.5, application/graphql-response+json;q=0.9", Some(Media::GraphqlResponse)),
            ("application/graphql-response+json;q=0, */*", Some(Media::Json)),
            ("text/html, application/*;q=0.1", Some(Media::Json)),
            ("text/html", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_str(accept).unwrap());
            assert_eq!(negotiate(&headers), expected, "{accept}");
        }
        assert_eq!(negotiate(&HeaderMap::new()), Some(Media::Json));
    }
}
