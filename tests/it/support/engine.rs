//! A Compose project of its own on the real engine, removed when the test ends.

use std::collections::HashMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bollard::exec::{StartExecOptions, StartExecResults};
use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, EndpointSettings, ExecConfig, HealthConfig,
    HostConfig, NetworkConnectRequest, NetworkCreateRequest, NetworkingConfig,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, CreateImageOptionsBuilder, InspectContainerOptions,
    ListContainersOptionsBuilder, ListImagesOptionsBuilder, ListNetworksOptionsBuilder,
    RemoveContainerOptionsBuilder, RemoveImageOptions, RenameContainerOptionsBuilder,
    StartContainerOptions,
};
use futures_util::StreamExt;
use tokio::sync::{Mutex, MutexGuard};
use treasury_bot::domain::service::{Intent, Service, ServiceName, Target};
use treasury_bot::platform::docker::Docker;

use super::stage::PATIENCE;

/// A process that ends at once when it is told to.
pub const OBEYS: &str = "trap 'exit 0' TERM; busybox sleep 600 & wait";

/// A process that must be killed.
pub const IGNORES: &str = "trap '' TERM; while :; do busybox sleep 1; done";

/// The engine remembers 256 events in all: health checks of one test would drive out those of
/// another.
static ALONE: Mutex<()> = Mutex::const_new(());

pub struct Stack {
    pub client: bollard::Docker,
    pub driver: Docker,
    pub project: String,
    _alone: MutexGuard<'static, ()>,
}

impl Stack {
    /// An empty project with the networks `back` and `front`, and an image of busybox.
    pub async fn new(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let project = format!("tb{}x{count}{name}", std::process::id());
        let client = bollard::Docker::connect_with_local_defaults().unwrap();
        let driver = Docker::new(None).unwrap();
        let stack = Self {
            client,
            driver,
            project,
            _alone: ALONE.lock().await,
        };
        stack.import("1", "").await;
        let client = &stack.client;
        for network in ["back", "front"] {
            let request = NetworkCreateRequest {
                name: stack.network(network),
                labels: Some(HashMap::from([label("project", &stack.project)])),
                ..NetworkCreateRequest::default()
            };
            client.create_network(request).await.unwrap();
        }
        stack
    }

    /// Makes an image of this project; `change` is a line of a Dockerfile, such as `CMD x`. Returns
    /// its reference.
    pub async fn import(&self, tag: &str, change: &str) -> String {
        let options = CreateImageOptionsBuilder::default()
            .from_src("-")
            .repo(&self.project)
            .tag(tag);
        let mut options = options.build();
        options.changes.extend(change.lines().map(str::to_owned));
        let body = bollard::body_full(tar().into());
        let steps = self.client.create_image(Some(options), Some(body), None);
        let steps: Vec<_> = steps.collect().await;
        assert!(steps.iter().all(Result::is_ok), "{steps:?}");
        format!("{}:{tag}", self.project)
    }

    pub fn network(&self, name: &str) -> String {
        format!("{}_{name}", self.project)
    }

    pub fn image(&self) -> String {
        format!("{}:1", self.project)
    }

    pub fn container(&self, service: &str, number: u32) -> String {
        format!("{}-{service}-{number}", self.project)
    }

    /// The catalogue's entry for a service of this project.
    pub fn service(&self, name: &str) -> Service {
        entry(Target::Compose {
            engine: None,
            project: self.project.clone(),
            service: name.to_owned(),
        })
    }

    /// What Compose would make of a service that runs a shell script.
    pub fn body(&self, service: &str, number: u32, script: &str) -> ContainerCreateBody {
        let labels = HashMap::from([
            label("project", &self.project),
            label("service", service),
            label("container-number", &number.to_string()),
            label("oneoff", "False"),
        ]);
        let command = ["/bin/busybox", "sh", "-c", script];
        let endpoint = EndpointSettings {
            aliases: Some(vec![service.to_owned(), self.container(service, number)]),
            ..EndpointSettings::default()
        };
        ContainerCreateBody {
            image: Some(self.image()),
            cmd: Some(command.map(str::to_owned).to_vec()),
            env: Some(vec!["PATH=/bin".to_owned()]),
            labels: Some(labels),
            host_config: Some(HostConfig {
                network_mode: Some(self.network("back")),
                ..HostConfig::default()
            }),
            networking_config: Some(NetworkingConfig {
                endpoints_config: Some(HashMap::from([(self.network("back"), endpoint)])),
            }),
            ..ContainerCreateBody::default()
        }
    }

    /// Makes a container.
    pub async fn make(&self, name: &str, body: ContainerCreateBody) -> String {
        let options = CreateContainerOptionsBuilder::default().name(name).build();
        let made = self.client.create_container(Some(options), body).await;
        made.unwrap().id
    }

    /// Makes and starts a container.
    pub async fn start(&self, name: &str, body: ContainerCreateBody) -> String {
        let id = self.make(name, body).await;
        let options = None::<StartContainerOptions>;
        self.client.start_container(&id, options).await.unwrap();
        id
    }

    /// Starts the replica of a service that runs a shell script.
    pub async fn run(&self, service: &str, number: u32, script: &str) -> String {
        let body = self.body(service, number, script);
        self.start(&self.container(service, number), body).await
    }

    pub async fn join(&self, id: &str, network: &str, alias: &str) {
        let request = NetworkConnectRequest {
            container: id.to_owned(),
            endpoint_config: Some(EndpointSettings {
                aliases: Some(vec![alias.to_owned()]),
                ..EndpointSettings::default()
            }),
        };
        let network = self.network(network);
        self.client
            .connect_network(&network, request)
            .await
            .unwrap();
    }

    /// Runs a shell script in a container: whether it ended well, and what it wrote.
    pub async fn exec(&self, id: &str, script: &str) -> (bool, String) {
        let command = ["/bin/busybox", "sh", "-c", script].map(str::to_owned);
        let config = ExecConfig {
            cmd: Some(command.to_vec()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..ExecConfig::default()
        };
        let exec = self.client.create_exec(id, config).await.unwrap().id;
        let options = None::<StartExecOptions>;
        let started = self.client.start_exec(&exec, options).await.unwrap();
        let StartExecResults::Attached { mut output, .. } = started else {
            panic!("detached");
        };
        let mut text = String::new();
        while let Some(chunk) = output.next().await {
            text.push_str(&chunk.unwrap().to_string());
        }
        let ended = self.client.inspect_exec(&exec).await.unwrap();
        (ended.exit_code == Some(0), text)
    }

    pub async fn inspect(&self, name: &str) -> ContainerInspectResponse {
        let options = None::<InspectContainerOptions>;
        self.client.inspect_container(name, options).await.unwrap()
    }

    pub async fn rename(&self, id: &str, to: &str) {
        let options = RenameContainerOptionsBuilder::default().name(to).build();
        self.client.rename_container(id, options).await.unwrap();
    }

    /// The names of all containers of this project, in order.
    pub async fn names(&self) -> Vec<String> {
        let wanted = format!("com.docker.compose.project={}", self.project);
        let filters = HashMap::from([("label", vec![wanted])]);
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&filters)
            .build();
        let all = self.client.list_containers(Some(options)).await.unwrap();
        let names = all.into_iter().flat_map(|one| one.names.unwrap());
        let mut names: Vec<String> = names.map(|name| name[1..].to_owned()).collect();
        names.sort();
        names
    }

    pub async fn remove(&self, id: &str) {
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true);
        let call = self.client.remove_container(id, Some(options.build()));
        call.await.unwrap();
    }

    async fn clean(project: String) {
        let client = bollard::Docker::connect_with_local_defaults().unwrap();
        let wanted = format!("com.docker.compose.project={project}");
        let filters = HashMap::from([("label", vec![wanted])]);
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&filters);
        for one in client.list_containers(Some(options.build())).await.unwrap() {
            let options = RemoveContainerOptionsBuilder::default().force(true).v(true);
            let id = one.id.unwrap();
            client
                .remove_container(&id, Some(options.build()))
                .await
                .ok();
        }
        let options = ListNetworksOptionsBuilder::default().filters(&filters);
        for one in client.list_networks(Some(options.build())).await.unwrap() {
            client.remove_network(&one.id.unwrap()).await.ok();
        }
        let filters = HashMap::from([("reference", vec![project])]);
        let options = ListImagesOptionsBuilder::default().filters(&filters);
        for one in client.list_images(Some(options.build())).await.unwrap() {
            for tag in one.repo_tags {
                let call = client.remove_image(&tag, None::<RemoveImageOptions>, None);
                call.await.ok();
            }
        }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let project = std::mem::take(&mut self.project);
        let clean = std::thread::spawn(|| {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(Stack::clean(project));
        });
        // A failure to clean must not hide that of the test.
        clean.join().ok();
    }
}

/// A catalogue's entry.
pub fn entry(target: Target) -> Service {
    Service {
        name: ServiceName::parse("web").unwrap(),
        target,
        min_replicas: 1,
        max_replicas: 9,
        health_url: None,
        check: Vec::new(),
        metrics_page: None,
        depends_on: Vec::new(),
        metrics: std::collections::BTreeMap::new(),
    }
}

/// A health check of a shell script, every 200 ms.
pub fn check(script: &str, retries: i64) -> HealthConfig {
    HealthConfig {
        test: Some(
            ["CMD", "/bin/busybox", "sh", "-c", script]
                .map(str::to_owned)
                .to_vec(),
        ),
        interval: Some(200_000_000),
        timeout: Some(2_000_000_000),
        retries: Some(retries),
        ..HealthConfig::default()
    }
}

/// The intent of a restart that nobody recorded.
pub fn intent() -> Intent {
    Intent::new("1", jiff::Timestamp::now())
}

/// Looks until there is something, for at most 20 s.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, look: impl Fn() -> F) -> T {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let looked = tokio::time::timeout(PATIENCE, looking).await;
    looked.unwrap_or_else(|_| panic!("never: {what}"))
}

fn label(name: &str, value: &str) -> (String, String) {
    (format!("com.docker.compose.{name}"), value.to_owned())
}

/// A file system with `/bin/busybox` alone.
pub fn tar() -> Vec<u8> {
    let paths = std::env::var_os("PATH").unwrap();
    let found: Option<PathBuf> = std::env::split_paths(&paths)
        .map(|path| path.join("busybox"))
        .find(|path| path.is_file());
    let busybox = std::fs::read(found.expect("busybox (static) in PATH")).unwrap();
    let mut header = [0_u8; 512];
    let mut put =
        |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, "bin/busybox");
    put(100, "0000755");
    put(108, "0000000");
    put(116, "0000000");
    put(124, &format!("{:011o}", busybox.len()));
    put(136, "00000000000");
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\u{0}00");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\u{0}").as_bytes());
    let mut tar = header.to_vec();
    tar.extend(&busybox);
    tar.resize(tar.len().next_multiple_of(512) + 1024, 0);
    tar
}
