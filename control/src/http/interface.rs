//! Interfaces that speak HTTP, and the layers that hold for all of them.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state, map_response};
use axum::response::Response;

use super::problem::Problem;
use super::{Shared, caller, host, problem, rate};

/// An interface that speaks HTTP.
pub(crate) struct Interface {
    /// The routes of the interface.
    pub router: Router<Shared>,
    /// The form of errors that its clients read. `None`: the form of a [`Problem`].
    pub errors: Option<ErrorForm>,
}

/// The form of errors of an interface.
#[derive(Clone, Copy)]
pub(crate) struct ErrorForm {
    /// First segment of every path of the interface.
    pub segment: &'static str,
    /// Writes a problem in this form.
    pub write: fn(&Problem) -> Response,
}

impl Interface {
    /// An interface whose errors are a [`Problem`].
    pub fn new(router: Router<Shared>) -> Self {
        Self { router, errors: None }
    }
}

/// Merges the interfaces behind the layers that hold for all of them.
pub(super) fn merge(interfaces: impl IntoIterator<Item = Interface>, shared: Shared) -> Router {
    let (mut routes, mut forms) = (Router::new(), Vec::new());
    for interface in interfaces {
        routes = routes.merge(interface.router);
        forms.extend(interface.errors);
    }
    let forms: Arc<[ErrorForm]> = forms.into();
    routes
        .layer(map_response(problem::fill_in))
        .layer(from_fn_with_state(shared.clone(), caller::identify))
        .layer(from_fn_with_state(shared.clone(), rate::bound))
        .layer(from_fn(host::require_one))
        .layer(from_fn_with_state(forms, reword))
        .with_state(shared)
}

/// Writes a problem in the form of the interface that the path belongs to, even if no handler of the interface saw the request.
async fn reword(State(forms): State<Arc<[ErrorForm]>>, request: Request, next: Next) -> Response {
    let segment = request.uri().path().split('/').nth(1);
    let form = forms.iter().find(|form| segment == Some(form.segment)).copied();
    let response = next.run(request).await;
    match (form, response.extensions().get::<Problem>()) {
        (Some(form), Some(problem)) => (form.write)(problem),
        _ => response,
    }
}
