//! Three processes, one a role.

use super::house::{House, SMALL_GATEWAY, SMALL_WORKER, text};
use super::program::Program;

/// Controller, worker and gateway of one house.
pub struct Trio {
    pub controller: Program,
    pub worker: Program,
    pub gateway: Program,
    /// Where the controller is.
    pub address: String,
    /// Where clients connect.
    pub door: String,
}

impl Trio {
    /// Starts all three; `more` goes to each of them.
    pub fn start(house: &House, more: &[&str]) -> Trio {
        let (controller, address) = start_controller(house, &named(more, "controller"));
        let worker = start_worker(house, &address, &named(more, "worker"));
        let (gateway, door) = start_gateway(house, &address, &named(more, "gateway"));
        Trio { controller, worker, gateway, address, door }
    }
}

/// Arguments in which `ROLE` stands for the role.
fn named(arguments: &[&str], role: &str) -> Vec<String> {
    arguments.iter().map(|argument| argument.replace("ROLE", role)).collect()
}

fn start(house: &House, arguments: &[&str], more: &[String]) -> Program {
    let arguments: Vec<&str> = arguments.iter().copied().chain(more.iter().map(String::as_str)).collect();
    let mut program = house.start(&arguments);
    program.wait_for("ready");
    program
}

/// A controller and its address.
pub fn start_controller(house: &House, more: &[String]) -> (Program, String) {
    let controller = start(house, &["controller", "--listen", "127.0.0.1:0"], more);
    let address = controller.value("controller");
    (controller, address)
}

/// A worker over the house's models.
pub fn start_worker(house: &House, controller: &str, more: &[String]) -> Program {
    let [models, profiles] = ["models", "profiles"].map(|name| house.path(name));
    let mut arguments = vec!["worker", "--controller", controller, "--listen", "127.0.0.1:0"];
    arguments.extend(["--models", text(&models), "--profiles", text(&profiles)]);
    arguments.extend(SMALL_WORKER);
    start(house, &arguments, more)
}

/// A gateway and where clients connect.
pub fn start_gateway(house: &House, controller: &str, more: &[String]) -> (Program, String) {
    let mut arguments = vec!["gateway", "--controller", controller, "--gateway-listen", "127.0.0.1:0"];
    arguments.extend(SMALL_GATEWAY);
    let gateway = start(house, &arguments, more);
    let door = gateway.value("gateway");
    (gateway, door)
}
