//! An engine of the test's own: the shared one is never stopped, put behind TLS or made a Swarm.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bollard::models::{
    ContainerCreateBody, HostConfig, Service, ServiceSpec, ServiceSpecMode,
    ServiceSpecModeReplicated, ServiceSpecUpdateConfig, SwarmInitRequest, TaskSpec,
    TaskSpecContainerSpec, TaskSpecRestartPolicy,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, CreateImageOptionsBuilder, InspectContainerOptions,
    InspectServiceOptions, LeaveSwarmOptionsBuilder, StartContainerOptions,
    UpdateServiceOptionsBuilder,
};
use futures_util::StreamExt;
use tokio::sync::{Mutex, MutexGuard};

use super::engine::{eventually, tar};

/// A Swarm takes fixed ports.
static SWARM: Mutex<()> = Mutex::const_new(());

/// `dockerd` with its data in a folder of its own; ended and cleaned up when dropped.
pub struct Dockerd {
    child: Child,
    command: Vec<String>,
    folder: tempfile::TempDir,
    /// Asks it by its socket.
    pub client: bollard::Docker,
    swarm: Option<MutexGuard<'static, ()>>,
}

impl Dockerd {
    /// Starts one with these further options; waits until it answers. It shares the bridge of the
    /// machine's own engine: one that has none removes that.
    pub async fn start(options: &[String]) -> Self {
        let bridge = ["--bridge=docker0".to_owned()];
        Self::run_by(&["dockerd"], &[&bridge, options].concat()).await
    }

    /// Starts one by these first words of a command that becomes it. It must have a bridge.
    pub async fn run_by(words: &[&str], options: &[String]) -> Self {
        let folder = tempfile::Builder::new().prefix("tbd").tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(at("daemon.json"), "{}").unwrap();
        let mut command: Vec<String> = words.iter().map(ToString::to_string).collect();
        command.extend([
            format!("--config-file={}", at("daemon.json")),
            format!("--data-root={}", at("data")),
            format!("--exec-root={}", at("exec")),
            format!("--pidfile={}", at("pid")),
            format!("--host=unix://{}", at("docker.sock")),
            "--iptables=false".to_owned(),
            "--ip-masq=false".to_owned(),
        ]);
        command.extend_from_slice(options);
        let child = launch(&command, &folder.path().join("log"));
        let socket = at("docker.sock");
        let client = eventually("an engine of the test's own answers", || async {
            let version = bollard::API_DEFAULT_VERSION;
            let client = bollard::Docker::connect_with_unix(&socket, 10, version).ok()?;
            client.ping().await.is_ok().then_some(client)
        })
        .await;
        Self {
            child,
            command,
            folder,
            client,
            swarm: None,
        }
    }

    /// Starts one that is the only manager of a Swarm.
    pub async fn swarm() -> Self {
        let alone = SWARM.lock().await;
        let mut engine = Self::start(&[]).await;
        let request = SwarmInitRequest {
            listen_addr: Some("127.0.0.1:2377".to_owned()),
            advertise_addr: Some("127.0.0.1".to_owned()),
            ..SwarmInitRequest::default()
        };
        engine.client.init_swarm(request).await.unwrap();
        engine.swarm = Some(alone);
        engine
    }

    /// `unix:///…`
    pub fn host(&self) -> String {
        format!("unix://{}", self.path("docker.sock").display())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Sends it a signal, such as `STOP`.
    pub fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// `kill -9`: its containers run on without it.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Makes an image that runs this shell script.
    pub async fn import(&self, image: &str, script: &str) {
        let (repo, tag) = image.split_once(':').unwrap();
        let options = CreateImageOptionsBuilder::default()
            .from_src("-")
            .repo(repo)
            .tag(tag);
        let mut options = options.build();
        let command = serde_json::to_string(&["/bin/busybox", "sh", "-c", script]).unwrap();
        options.changes = vec![format!("CMD {command}"), "ENV PATH=/bin".to_owned()];
        let body = bollard::body_full(tar().into());
        let steps = self.client.create_image(Some(options), Some(body), None);
        let steps: Vec<_> = steps.collect().await;
        assert!(steps.iter().all(Result::is_ok), "{steps:?}");
    }

    /// Starts a container of an image, without a network.
    pub async fn run(&self, name: &str, image: &str) {
        let options = CreateContainerOptionsBuilder::default().name(name).build();
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            host_config: Some(HostConfig {
                network_mode: Some("none".to_owned()),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let client = &self.client;
        client.create_container(Some(options), body).await.unwrap();
        let options = None::<StartContainerOptions>;
        client.start_container(name, options).await.unwrap();
    }

    /// When a container started.
    pub async fn started_at(&self, name: &str) -> String {
        let options = None::<InspectContainerOptions>;
        let facts = self.client.inspect_container(name, options).await.unwrap();
        facts.state.unwrap().started_at.unwrap()
    }

    /// Makes a Swarm service of an image; global where no number is given.
    pub async fn serve(&self, name: &str, image: &str, replicas: Option<i64>) {
        self.serve_as(name, image, replicas, |_| ()).await;
    }

    /// The same, with further settings.
    pub async fn serve_as(
        &self,
        name: &str,
        image: &str,
        replicas: Option<i64>,
        edit: impl FnOnce(&mut ServiceSpec),
    ) {
        #[expect(clippy::zero_sized_map_values, reason = "so the model has it")]
        let mode = match replicas {
            Some(replicas) => ServiceSpecMode {
                replicated: Some(ServiceSpecModeReplicated {
                    replicas: Some(replicas),
                }),
                ..ServiceSpecMode::default()
            },
            None => ServiceSpecMode {
                global: Some(std::collections::HashMap::new()),
                ..ServiceSpecMode::default()
            },
        };
        let mut spec = ServiceSpec {
            name: Some(name.to_owned()),
            labels: Some([("owner".to_owned(), "ana".to_owned())].into()),
            mode: Some(mode),
            task_template: Some(TaskSpec {
                container_spec: Some(TaskSpecContainerSpec {
                    image: Some(image.to_owned()),
                    stop_grace_period: Some(2_000_000_000),
                    ..TaskSpecContainerSpec::default()
                }),
                restart_policy: Some(TaskSpecRestartPolicy {
                    delay: Some(200_000_000),
                    ..TaskSpecRestartPolicy::default()
                }),
                ..TaskSpec::default()
            }),
            update_config: Some(ServiceSpecUpdateConfig {
                parallelism: Some(1),
                monitor: Some(1_500_000_000),
                ..ServiceSpecUpdateConfig::default()
            }),
            ..ServiceSpec::default()
        };
        edit(&mut spec);
        self.client.create_service(spec, None).await.unwrap();
    }

    /// Changes a Swarm service as somebody else would.
    pub async fn change(&self, name: &str, edit: impl FnOnce(&mut ServiceSpec)) {
        let service = self.described(name).await;
        let mut spec = service.spec.unwrap();
        edit(&mut spec);
        let version = service.version.unwrap().index.unwrap();
        let options = UpdateServiceOptionsBuilder::default().version(version as i32);
        let call = self
            .client
            .update_service(name, spec, options.build(), None);
        call.await.unwrap();
    }

    /// A Swarm service as the engine describes it.
    pub async fn described(&self, name: &str) -> Service {
        let options = None::<InspectServiceOptions>;
        self.client.inspect_service(name, options).await.unwrap()
    }

    /// How often the tasks of a Swarm service were told to start anew.
    pub async fn forced(&self, name: &str) -> u64 {
        let spec = self.described(name).await.spec.unwrap();
        spec.task_template.unwrap().force_update.unwrap_or(0)
    }

    /// Leaves no network device of the Swarm behind.
    async fn leave(client: bollard::Docker) {
        let options = LeaveSwarmOptionsBuilder::default().force(true).build();
        client.leave_swarm(Some(options)).await.ok();
        for _ in 0..50 {
            if client.remove_network("docker_gwbridge").await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            // It was killed: started once more, it ends what it had left.
            self.child = launch(&self.command, &self.path("log"));
            wait_for(|| answers(&self.path("docker.sock")).is_ok_and(|yes| yes));
        }
        self.signal("CONT");
        if self.swarm.is_some() {
            // On a connection of its own: that of the test belongs to its runtime.
            let socket = self.path("docker.sock").display().to_string();
            let leaving = std::thread::spawn(move || {
                let version = bollard::API_DEFAULT_VERSION;
                let client = bollard::Docker::connect_with_unix(&socket, 10, version).unwrap();
                let runtime = tokio::runtime::Runtime::new().unwrap();
                runtime.block_on(Self::leave(client));
            });
            leaving.join().ok();
        }
        // It ends its containers, and containerd after them.
        self.signal("TERM");
        if !wait_for(|| matches!(self.child.try_wait(), Ok(Some(_)))) {
            self.child.kill().ok();
            self.child.wait().ok();
        }
        // An engine leaves the namespace of containers in its own network mounted.
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let own = self.folder.path().display().to_string();
        let mounts = mounts.lines().filter_map(|line| line.split(' ').nth(1));
        for mount in mounts.filter(|path| path.starts_with(&own)) {
            let gone = Command::new("umount").args(["--lazy", mount]).status();
            drop(gone);
        }
    }
}

/// Starts an engine by this command.
fn launch(command: &[String], log: &Path) -> Child {
    let log = File::options().create(true).append(true).open(log).unwrap();
    Command::new(&command[0])
        .args(&command[1..])
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .expect("dockerd in PATH, as root")
}

/// The engine has started and answers.
fn answers(socket: &Path) -> std::io::Result<bool> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(b"GET /_ping HTTP/1.0\r\n\r\n")?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer)?;
    Ok(answer.ends_with(b"200"))
}

/// Looks until it is so, for at most 30 s, where nothing can be awaited.
#[expect(clippy::disallowed_methods, reason = "a destructor can't await")]
fn wait_for(mut is_so: impl FnMut() -> bool) -> bool {
    (0..300).any(|_| {
        let so = is_so();
        if !so {
            std::thread::sleep(Duration::from_millis(100));
        }
        so
    })
}

fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill")
        .args([&format!("-{name}"), &pid.to_string()])
        .status();
    sent.expect("kill in PATH");
}
