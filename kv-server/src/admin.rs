//! The admin interface over HTTP: `/health`, `/ready`, `/status`, `/metrics`.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use kv_net::Node;
use kv_net::metrics::{self, Figures};
use kv_net::resp::RespMeter;

/// What the admin interface knows.
#[derive(Debug)]
pub(crate) struct AdminState {
    node: Arc<Node>,
    resp: Option<RespMeter>,
    stopping: AtomicBool,
}

impl AdminState {
    pub(crate) fn new(node: Arc<Node>, resp: Option<RespMeter>) -> Arc<Self> {
        Arc::new(AdminState { node, resp, stopping: AtomicBool::new(false) })
    }

    /// Not ready any more: load balancers should send nobody here.
    pub(crate) fn stop_being_ready(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    fn readiness(&self) -> Result<(), String> {
        if self.stopping.load(Ordering::Acquire) {
            return Err("the node is shutting down".into());
        }
        self.node.is_ready()
    }
}

/// An admin interface whose address is taken and which serves nobody yet.
#[derive(Debug)]
pub(crate) struct AdminListener {
    listener: TcpListener,
}

/// An admin interface that serves.
#[derive(Debug)]
pub(crate) struct Admin {
    stop: oneshot::Sender<()>,
    serving: JoinHandle<io::Result<()>>,
}

impl AdminListener {
    pub(crate) fn bind(address: &str) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(AdminListener { listener })
    }

    pub(crate) fn local_address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves on the current runtime.
    pub(crate) fn serve(self, state: Arc<AdminState>) -> io::Result<Admin> {
        let listener = tokio::net::TcpListener::from_std(self.listener)?;
        let router = Router::new()
            .route("/health", get(async || "the process is alive\n"))
            .route("/ready", get(ready))
            .route("/status", get(status))
            .route("/metrics", get(metrics))
            .with_state(state);
        let (stop, stopped) = oneshot::channel::<()>();
        let serve = axum::serve(listener, router).with_graceful_shutdown(async {
            let _ = stopped.await;
        });
        Ok(Admin { stop, serving: tokio::spawn(async { serve.await }) })
    }
}

impl Admin {
    /// Stops taking requests and lets those under way finish.
    pub(crate) async fn shut_down(self) {
        drop(self.stop);
        let _ = self.serving.await;
    }
}

async fn ready(State(state): State<Arc<AdminState>>) -> Response {
    match state.readiness() {
        Ok(()) => "ready\n".into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

async fn status(State(state): State<Arc<AdminState>>) -> Response {
    let readiness = state.readiness();
    let body = serde_json::json!({
        "ready": readiness.is_ok(),
        "reason": readiness.err(),
        "node": state.node.status(),
    });
    ([(header::CONTENT_TYPE, "application/json")], format!("{body}\n")).into_response()
}

async fn metrics(State(state): State<Arc<AdminState>>) -> Response {
    let mut node = state.node.figures();
    node.ready &= state.readiness().is_ok();
    let resp = state.resp.as_ref().map(RespMeter::figures);
    let text = metrics::exposition(&Figures { node: &node, resp: resp.as_ref() });
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response()
}
