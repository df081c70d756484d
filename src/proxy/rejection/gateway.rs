//! The words of API Gateway, for clients that read its bodies (`error_style = "api-gateway"`).

use http::StatusCode;

use super::{Rejection, invalid};

impl Rejection {
    /// What API Gateway says with this status.
    pub(super) fn gateway_message(&self, status: StatusCode) -> String {
        let missing;
        let message = match (self, status) {
            (Self::ParametersMissing(names), _) => {
                missing = invalid::listed(names);
                missing.as_str()
            }
            (Self::BodyInvalid(_), _) => "Invalid request body",
            (Self::ByRoute { route, .. }, _) => route.reject.message.as_str(),
            (_, StatusCode::NOT_FOUND) => "Not Found",
            (_, StatusCode::FORBIDDEN) => "Forbidden",
            (_, StatusCode::PAYLOAD_TOO_LARGE) => "Request Entity Too Large",
            (_, StatusCode::SERVICE_UNAVAILABLE) => "Service Unavailable",
            (_, StatusCode::GATEWAY_TIMEOUT) => "Endpoint request timed out",
            (_, status) if status.is_server_error() => "Internal server error",
            (_, status) => status.canonical_reason().unwrap_or("Bad Request"),
        };
        serde_json::json!({ "message": message }).to_string()
    }
}
