//! The `Authorization` header of AWS Signature Version 4, taken apart.

use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::refusal::Refusal;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// What the header says, not yet believed.
#[derive(Debug)]
pub(super) struct Authorization<'a> {
    pub(super) access_key_id: &'a str,
    pub(super) day: &'a str,
    pub(super) region: &'a str,
    pub(super) service: &'a str,
    pub(super) terminator: &'a str,
    pub(super) signed_headers: Vec<&'a str>,
    pub(super) signature: &'a str,
}

impl<'a> Authorization<'a> {
    /// Reads the one `Authorization` of a request.
    pub(super) fn read(headers: &'a HeaderMap) -> Result<Self, Refusal> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let value = values.next().ok_or(Refusal::NotSigned)?;
        if values.next().is_some() {
            return Err(Refusal::incomplete("Request has more than one Authorization header. "));
        }
        let text = value.to_str().map_err(|_| Refusal::incomplete("Authorization is no text. "))?;
        Self::parse(text)
    }

    fn parse(text: &'a str) -> Result<Self, Refusal> {
        let (algorithm, parameters) = text.split_once(' ').unwrap_or((text, ""));
        if algorithm != ALGORITHM {
            let known = format!("Unsupported AWS 'algorithm', must be '{ALGORITHM}'. ");
            return Err(Refusal::incomplete(known));
        }
        let find = |name| {
            let pairs = parameters.split(',').filter_map(|pair| pair.trim().split_once('='));
            pairs.filter(|(key, _)| *key == name).map(|(_, value)| value).next()
        };
        match (find("Credential"), find("SignedHeaders"), find("Signature")) {
            (Some(credential), Some(signed_headers), Some(signature)) => {
                Self::from_parameters(credential, signed_headers, signature)
            }
            (credential, signed_headers, signature) => Err(missing(&[
                ("Credential", credential),
                ("Signature", signature),
                ("SignedHeaders", signed_headers),
            ])),
        }
    }

    fn from_parameters(
        credential: &'a str,
        signed_headers: &'a str,
        signature: &'a str,
    ) -> Result<Self, Refusal> {
        let elements: Vec<&str> = credential.split('/').collect();
        let [access_key_id, day, region, service, terminator] = elements[..] else {
            return Err(Refusal::incomplete(
                "Credential must have exactly 5 slash-delimited elements, \
                 e.g. keyid/date/region/service/term. ",
            ));
        };
        let signed_headers = signed_headers.split(';').collect();
        Ok(Self { access_key_id, day, region, service, terminator, signed_headers, signature })
    }
}

/// Every parameter that is missing, in one sentence each.
fn missing(parameters: &[(&str, Option<&str>)]) -> Refusal {
    let missing = parameters.iter().filter(|(_, value)| value.is_none());
    let sentences = missing
        .map(|(name, _)| format!("Authorization header requires '{name}' parameter. "))
        .collect::<String>();
    Refusal::incomplete(sentences)
}
