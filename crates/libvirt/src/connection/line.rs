//! A way to a daemon that outlives its restarts: the connection is opened when it is first needed, and again when it broke.

use std::sync::Arc;

use tokio::sync::Mutex;

use crate::uri::{Environment, Uri};
use crate::{Connection, LibvirtError};

/// A way to a daemon. Its clones share one connection.
#[derive(Debug, Clone)]
pub struct Line {
    /// Where it leads; nothing where a connection that broke stays broken.
    to: Option<Arc<(Uri, Environment)>>,
    connection: Arc<Mutex<Option<Arc<Connection>>>>,
}

impl Line {
    /// A way to that daemon; nothing is opened yet.
    #[must_use]
    pub fn new(uri: Uri, env: Environment) -> Self {
        Self { to: Some(Arc::new((uri, env))), connection: Arc::default() }
    }

    /// Where it leads, where it can be opened again.
    pub(crate) fn uri(&self) -> Option<&Uri> {
        self.to.as_deref().map(|(uri, _)| uri)
    }

    /// The connection that is open, or another one.
    ///
    /// # Errors
    /// As [`Connection::open`].
    pub async fn connection(&self) -> Result<Arc<Connection>, LibvirtError> {
        let mut connection = self.connection.lock().await;
        match (&*connection, &self.to) {
            (Some(open), Some(_)) if !open.is_broken() => Ok(Arc::clone(open)),
            (Some(only), None) => Ok(Arc::clone(only)),
            (_, Some(to)) => {
                let (uri, env) = &**to;
                let opened = Arc::new(Connection::open(uri, env).await?);
                *connection = Some(Arc::clone(&opened));
                Ok(opened)
            }
            (None, None) => {
                Err(LibvirtError::Unreachable { reason: "no connection was ever opened".to_owned() })
            }
        }
    }
}

/// One connection, and no other.
impl From<Arc<Connection>> for Line {
    fn from(connection: Arc<Connection>) -> Self {
        Self { to: None, connection: Arc::new(Mutex::new(Some(connection))) }
    }
}
