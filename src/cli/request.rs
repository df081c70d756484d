//! One request as it was typed, for the verbs that sign or send a single one.

use std::io::Read;
use std::path::Path;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use crate::cli::arguments::{OneRequest, Signing};
use crate::cli::{Environment, Exit, complain, refuse, refuse_setup};
use crate::clock::Clock;
use crate::config::Config;
use crate::config::load::{Flags, Inputs, load};
use crate::credentials::Stores;

/// What curl calls a body of which nothing is said.
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");

/// What was typed wrong.
#[derive(Debug, thiserror::Error)]
pub(super) enum Mistyped {
    #[error("`{0}` is no header")]
    Header(String),
    #[error("`{0}` is no URL with a host")]
    Url(Uri),
    #[error("cannot read the body from `{0}`")]
    Data(String, #[source] std::io::Error),
}

impl Mistyped {
    /// How the program ends with it.
    pub(super) fn exit(&self) -> Exit {
        complain(self, Some(self.hint()));
        match self {
            Self::Header(_) | Self::Url(_) => Exit::Usage,
            Self::Data(..) => Exit::Failure,
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::Header(_) => "write `-H 'name: value'`",
            Self::Url(_) => {
                "write it whole, such as `https://ID.lambda-url.us-east-1.on.aws/health`"
            }
            Self::Data(..) => "`-d @FILE` names a file; `-d TEXT` is the body itself",
        }
    }
}

impl OneRequest {
    /// The headers; a body without a type is what curl calls it, so that both sign alike.
    pub(super) fn headers(&self) -> Result<HeaderMap, Mistyped> {
        let mut headers = HeaderMap::new();
        for line in &self.headers {
            let wrong = || Mistyped::Header(line.clone());
            let (name, value) = line.split_once(':').ok_or_else(wrong)?;
            let name = HeaderName::try_from(name.trim()).map_err(|_| wrong())?;
            headers.append(name, HeaderValue::try_from(value.trim()).map_err(|_| wrong())?);
        }
        if self.data.is_some() && !headers.contains_key(CONTENT_TYPE) {
            headers.insert(CONTENT_TYPE, FORM);
        }
        Ok(headers)
    }

    /// The body.
    pub(super) fn body(&self) -> Result<Bytes, Mistyped> {
        let Some(data) = &self.data else { return Ok(Bytes::new()) };
        let wrong = |cause| Mistyped::Data(data.clone(), cause);
        match data.strip_prefix('@') {
            None => Ok(Bytes::from(data.clone())),
            Some("-") => {
                let mut body = Vec::new();
                std::io::stdin().read_to_end(&mut body).map_err(wrong)?;
                Ok(Bytes::from(body))
            }
            Some(file) => std::fs::read(Path::new(file)).map(Bytes::from).map_err(wrong),
        }
    }
}

/// A configuration of one target, and its stores: what a request to `url` needs.
pub(super) fn to_one_target(
    url: &Uri,
    signing: &Signing,
    environment: Environment,
) -> Result<(Config, Stores), Exit> {
    let origin = origin(url).ok_or_else(|| Mistyped::Url(url.clone()).exit())?;
    let flags = Flags {
        target: Some(origin),
        region: signing.region.clone(),
        service: signing.service.clone(),
        profile: signing.profile.clone(),
        ..Flags::default()
    };
    // Only the AWS part of the environment: a `COUNTERSIGN_*` of a proxy beside us is not ours.
    let environment: Environment =
        environment.into_iter().filter(|(name, _)| !name.starts_with("COUNTERSIGN_")).collect();
    let inputs = Inputs { flags, environment, ..Inputs::default() };
    let config = load(&inputs).map_err(|problems| refuse(&problems))?;
    let stores = Stores::new(&config, &inputs.environment, &Clock::system())
        .map_err(|error| refuse_setup(&error))?;
    Ok((config, stores))
}

fn origin(url: &Uri) -> Option<String> {
    let authority: &Authority = url.authority()?;
    Some(format!("{}://{authority}", url.scheme_str()?))
}
