//! The admin interface over HTTP: `/health`, `/ready`, `/status`, `/metrics`.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

use kv_net::Node;
use kv_net::metrics::{self, Figures};
use kv_net::resp::RespMeter;

/// Connections at a time; more wait.
const CONNECTIONS_MAX: usize = 128;

/// Longest that the head of a request may take, and a connection as a whole.
const HEADERS_MAX: Duration = Duration::from_secs(5);
const CONNECTION_MAX: Duration = Duration::from_secs(60);

/// Longest that requests under way may take when the node stops.
const GRACE: Duration = Duration::from_secs(1);

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
    serving: JoinHandle<()>,
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
        Ok(Admin { stop, serving: tokio::spawn(accept(listener, router, stopped)) })
    }
}

impl Admin {
    /// Stops taking requests and lets those under way finish.
    pub(crate) async fn shut_down(self) {
        drop(self.stop);
        let _ = self.serving.await;
    }
}

/// Serves connections: not more at a time, and none for longer, than leaves room for peers and clients.
async fn accept(listener: tokio::net::TcpListener, router: Router, mut stopped: oneshot::Receiver<()>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let connections = GracefulShutdown::new();
    loop {
        let next = async {
            let room = room.clone().acquire_owned().await;
            (listener.accept().await, room)
        };
        let (accepted, room) = tokio::select! {
            next = next => next,
            _ = &mut stopped => break,
        };
        let Ok((stream, _)) = accepted else {
            // Too many open files, mostly.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADERS_MAX)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router.clone()));
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            let _ = tokio::time::timeout(CONNECTION_MAX, connection).await;
            drop(room);
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(GRACE, connections.shutdown()).await;
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
