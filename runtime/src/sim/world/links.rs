//! All connections of a run, each direction a link of its own.

use crate::sim::config::SimConfig;
use crate::sim::link::{Link, LinkConfig};
use crate::sim::seeded::{Part, Seeded};

/// The links, by their ends.
#[derive(Debug)]
pub(super) struct Links {
    gateways: usize,
    /// Clients to each gateway.
    pub(super) requests: Vec<Link>,
    /// Each gateway to its clients.
    pub(super) answers: Vec<Link>,
    /// Each gateway to the controller.
    pub(super) up: Vec<Link>,
    /// The controller to each gateway.
    pub(super) down: Vec<Link>,
    /// The controller to each worker.
    pub(super) orders: Vec<Link>,
    /// Each worker to the controller.
    pub(super) results: Vec<Link>,
    inputs: Vec<Link>,
    outputs: Vec<Link>,
}

impl Links {
    /// Idle links.
    pub(super) fn new(config: &SimConfig) -> Links {
        let mut number = 0;
        let mut make = |link: LinkConfig, count: usize| -> Vec<Link> {
            (0..count)
                .map(|_| {
                    number += 1;
                    Link::new(link, Seeded::part(config.seed, Part::Links, number))
                })
                .collect()
        };
        let (gateways, workers) = (usize::from(config.gateways), usize::from(config.workers));
        let (client, server) = (config.client_link, config.server_link);
        Links {
            gateways,
            requests: make(client, gateways),
            answers: make(client, gateways),
            up: make(server, gateways),
            down: make(server, gateways),
            orders: make(server, workers),
            results: make(server, workers),
            inputs: make(server, workers * gateways),
            outputs: make(server, workers * gateways),
        }
    }

    /// From a gateway to a worker.
    pub(super) fn input(&mut self, gateway: usize, worker: usize) -> &mut Link {
        &mut self.inputs[worker * self.gateways + gateway]
    }

    /// From a worker to a gateway.
    pub(super) fn output(&mut self, worker: usize, gateway: usize) -> &mut Link {
        &mut self.outputs[worker * self.gateways + gateway]
    }

    /// A worker's connections are new.
    pub(super) fn reconnect(&mut self, worker: usize, now: crate::base::Nanos) {
        self.orders[worker].reconnect(now);
        self.results[worker].reconnect(now);
        for gateway in 0..self.gateways {
            self.input(gateway, worker).reconnect(now);
            self.output(worker, gateway).reconnect(now);
        }
    }
}
