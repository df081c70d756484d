//! Whether a request is signed by one of the known credentials, for this service, now.

use std::time::SystemTime;

use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use http::request::Parts;
use sha2::{Digest, Sha256};

use super::authorization::Authorization;
use super::canonical::canonical_request;
use super::refusal::{Mismatch, Refusal};
use super::timestamp::Timestamp;
use super::{ContentSha256, KnownCredentials, Settings};

/// A signature holds for five minutes, and may be five minutes early.
const SKEW_MINUTES: i64 = 5;

const TERMINATOR: &str = "aws4_request";

const DATE: &str = "x-amz-date";
const TOKEN: &str = "x-amz-security-token";
const CONTENT_SHA256: &str = "x-amz-content-sha256";

/// The credentials that signed `head` and `body`.
pub(super) fn verify<'a>(
    settings: &'a Settings,
    head: &Parts,
    body: &[u8],
    now: SystemTime,
) -> Result<&'a KnownCredentials, Refusal> {
    let claim = Authorization::read(&head.headers)?;
    let date = only(&head.headers, DATE).ok_or_else(|| {
        Refusal::incomplete("Authorization header requires existence of a 'X-Amz-Date' header. ")
    })?;
    check_scope(settings, &claim, date)?;
    let known = known(settings, &claim, &head.headers, now)?;
    check_clock(date, now)?;
    let payload = hex::encode(Sha256::digest(body));
    check_payload(settings, &head.headers, &payload)?;
    check_signed_headers(&claim, &head.headers)?;
    check_signature(known, &claim, head, (date, &payload))?;
    Ok(known)
}

/// The value of a header that stands there once.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

fn check_scope(settings: &Settings, claim: &Authorization<'_>, date: &str) -> Result<(), Refusal> {
    let mut wrong = String::new();
    if claim.region != settings.region {
        let region = claim.region;
        wrong += &format!("Credential should be scoped to a valid region, not '{region}'. ");
    }
    if claim.service != settings.service {
        let service = &settings.service;
        wrong += &format!("Credential should be scoped to correct service: '{service}'. ");
    }
    if claim.terminator != TERMINATOR {
        let found = claim.terminator;
        wrong += &format!(
            "Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{found}'. "
        );
    }
    let day = date.get(..8).unwrap_or(date);
    if claim.day != day {
        let claimed = claim.day;
        wrong += &format!(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from \
             HTTP: '{claimed}' != '{day}', from '{date}'. "
        );
    }
    if wrong.is_empty() { Ok(()) } else { Err(Refusal::Scope(wrong)) }
}

fn known<'a>(
    settings: &'a Settings,
    claim: &Authorization<'_>,
    headers: &HeaderMap,
    now: SystemTime,
) -> Result<&'a KnownCredentials, Refusal> {
    let mut known = settings.credentials.iter();
    let known = known
        .find(|known| known.access_key_id == claim.access_key_id)
        .ok_or(Refusal::UnknownToken)?;
    let token_matches = match &known.session_token {
        Some(token) => only(headers, TOKEN) == Some(token.expose()),
        None => !headers.contains_key(TOKEN),
    };
    if !token_matches {
        return Err(Refusal::UnknownToken);
    }
    if known.expires.is_some_and(|expires| expires <= now) {
        return Err(Refusal::ExpiredToken);
    }
    Ok(known)
}

fn check_clock(date: &str, now: SystemTime) -> Result<(), Refusal> {
    let signed = Timestamp::parse(date).ok_or_else(|| {
        Refusal::incomplete("Date must be in ISO-8601 'basic format', as in 20261124T030405Z. ")
    })?;
    let now = Timestamp::new(now);
    let (oldest, newest) = (now.plus(-60 * SKEW_MINUTES), now.plus(60 * SKEW_MINUTES));
    let (now, limit) = (now.basic(), SKEW_MINUTES);
    if signed < oldest {
        let oldest = oldest.basic();
        return Err(Refusal::Clock(format!(
            "Signature expired: {date} is now earlier than {oldest} ({now} - {limit} min.)"
        )));
    }
    if signed > newest {
        let newest = newest.basic();
        return Err(Refusal::Clock(format!(
            "Signature not yet current: {date} is still later than {newest} ({now} + {limit} min.)"
        )));
    }
    Ok(())
}

/// Lambda takes no unsigned and no streamed payload: the header is the body's hash or wrong.
fn check_payload(settings: &Settings, headers: &HeaderMap, hash: &str) -> Result<(), Refusal> {
    match (headers.contains_key(CONTENT_SHA256), settings.content_sha256) {
        (false, ContentSha256::Optional) => Ok(()),
        (false, ContentSha256::Required) => Err(Refusal::Mismatch(Mismatch::NoContentSha256)),
        (true, _) if only(headers, CONTENT_SHA256) == Some(hash) => Ok(()),
        (true, _) => Err(Refusal::Mismatch(Mismatch::ContentSha256)),
    }
}

fn check_signed_headers(claim: &Authorization<'_>, headers: &HeaderMap) -> Result<(), Refusal> {
    let signed = &claim.signed_headers;
    let lower = signed.iter().all(|name| !name.bytes().any(|byte| byte.is_ascii_uppercase()));
    if !lower || !signed.is_sorted_by(|one, next| one < next) {
        return Err(Refusal::Mismatch(Mismatch::Order));
    }
    if !signed.contains(&"host") {
        return Err(Refusal::Mismatch(Mismatch::HostNotSigned));
    }
    let amz = headers.keys().filter(|name| name.as_str().starts_with("x-amz-"));
    if amz.into_iter().any(|name| !signed.contains(&name.as_str())) {
        return Err(Refusal::Mismatch(Mismatch::AmzNotSigned));
    }
    Ok(())
}

fn check_signature(
    known: &KnownCredentials,
    claim: &Authorization<'_>,
    head: &Parts,
    (date, payload): (&str, &str),
) -> Result<(), Refusal> {
    let mismatch = || Refusal::Mismatch(Mismatch::Signature);
    let canonical = canonical_request(head, &claim.signed_headers, payload).ok_or_else(mismatch)?;
    let Authorization { day, region, service, terminator, .. } = claim;
    let string_to_sign = format!(
        "AWS4-HMAC-SHA256\n{date}\n{day}/{region}/{service}/{terminator}\n{}",
        hex::encode(Sha256::digest(canonical))
    );
    let secret = format!("AWS4{}", known.secret_access_key.expose());
    let steps = [*day, *region, *service, *terminator];
    let key = steps
        .iter()
        .fold(secret.into_bytes(), |key, step| keyed(&key, step).finalize().into_bytes().to_vec());
    if claim.signature.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(mismatch());
    }
    let signature = hex::decode(claim.signature).map_err(|_| mismatch())?;
    keyed(&key, &string_to_sign).verify_slice(&signature).map_err(|_| mismatch())
}

fn keyed(key: &[u8], message: &str) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(message.as_bytes());
    mac
}
