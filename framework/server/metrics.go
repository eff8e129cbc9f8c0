package server

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/internal/buildinfo"
)

// prepareMetrics creates and registers the server's metrics.
func (v *server) prepareMetrics() {
	v.metrics = prometheus.NewRegistry()
	v.delivered = delivery.NewMetrics(v.metrics)
	v.eventCounter = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "landfall", Name: "events_total", Help: "Events that clients sent, by source and by outcome, the result that the response reported.",
	}, []string{"source", "outcome"})
	v.metrics.MustRegister(newBuildMetric(buildinfo.Read()), v.eventCounter, deliveryMetrics{v}, damageMetrics{v}, ledgerMetrics{v}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
}

// newBuildMetric returns a metric that is always 1, with labels that describe the program.
func newBuildMetric(info buildinfo.Info) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "landfall", Name: "build_info", Help: "Always 1. The labels describe the program.",
		ConstLabels: prometheus.Labels{"version": info.Version, "commit": info.Commit, "goversion": info.Go},
	}, func() float64 { return 1 })
}

func (v *server) metricsHandler() http.Handler {
	return promhttp.HandlerFor(v.metrics, promhttp.HandlerOpts{})
}

// deliveryMetrics reports the state of the delivery and the queue. It reads the values on each scrape.
type deliveryMetrics struct{ v *server }

var (
	waitingDesc = newGaugeDesc("waiting", "Items that were read from the queue and are not finished.")
	behindDesc  = newGaugeDesc("lag_events", "The approximate number of events that are not finished.")
	lagDesc     = newGaugeDesc("lag_seconds", "The age of the oldest event that is not finished.")
	parkedDesc  = newGaugeDesc("parked_keys", "Users whose events are parked.")
	stoppedDesc = newGaugeDesc("stopped", "1 if nothing is delivered until an operator logs in.")
	ownedDesc   = newGaugeDesc("partitions", "Partitions that this process delivers.")
	unownedDesc = newGaugeDesc("unowned_partitions", "Partitions that no process delivers. The lag includes their waiting events.")
	deliverDesc = newGaugeDesc("delivering", "1 if this server delivers to the instance, unless a remote or an operator delays the delivery.")
	pausedDesc  = newGaugeDesc("paused_seconds", "The remaining time of the pause that the remote asked for; 0 without a pause.")
	readyDesc   = prometheus.NewDesc("landfall_ready", "1 if the server accepts and delivers events, as in /readyz.", nil, nil)
	findingDesc = prometheus.NewDesc("landfall_finding", "1 for each finding that /readyz shows.", []string{"code", "instance"}, nil)
	verdictDesc = prometheus.NewDesc("landfall_durable_verdicts", "Verdicts since the instance was created, as the checkpoints record them.", []string{"instance", "outcome"}, nil)
	bytesDesc   = prometheus.NewDesc("landfall_queue_bytes", "Bytes of the events, parked events and dead letters as they are stored: the events are compressed if the log is on this machine.", []string{"stream"}, nil)
)

func newGaugeDesc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("landfall_"+name, help, []string{"instance"}, nil)
}

// Describe implements prometheus.Collector.
func (d deliveryMetrics) Describe(to chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{waitingDesc, behindDesc, lagDesc, parkedDesc, stoppedDesc, ownedDesc, verdictDesc, bytesDesc, unownedDesc, deliverDesc, pausedDesc, readyDesc, findingDesc, budgetLimitDesc, budgetUsedDesc, budgetResetDesc, concurrencyDesc, downDesc, remainingDesc} {
		to <- desc
	}
}

// Collect implements prometheus.Collector.
func (d deliveryMetrics) Collect(to chan<- prometheus.Metric) {
	give := func(desc *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	health := d.v.runner.Health(context.Background())
	give(readyDesc, oneIf(health.Ready))
	known := map[[2]string]bool{}
	for _, f := range health.Findings {
		if key := [2]string{string(f.Code), f.Instance}; !known[key] {
			known[key] = true
			give(findingDesc, 1, key[:]...)
		}
	}
	for _, s := range d.v.runner.Status() {
		give(unownedDesc, float64(len(s.Unowned)), s.Instance)
		give(deliverDesc, oneIf(s.Delivering), s.Instance)
		give(pausedDesc, max(time.Until(s.Until).Seconds(), 0), s.Instance)
		give(waitingDesc, float64(s.Waiting), s.Instance)
		give(behindDesc, float64(s.Behind+s.Waiting), s.Instance)
		give(lagDesc, s.Lag.Seconds(), s.Instance)
		give(parkedDesc, float64(s.Parked), s.Instance)
		give(stoppedDesc, oneIf(s.Stopped != ""), s.Instance)
		giveLimits(to, s)
		give(ownedDesc, float64(s.Partitions), s.Instance)
		for outcome, n := range s.Counts {
			give(verdictDesc, float64(n), s.Instance, outcome)
		}
	}
	sizes, err := d.v.queue.Sizes()
	if err != nil {
		return // leave the metric out rather than report a wrong value
	}
	for stream, n := range sizes {
		give(bytesDesc, float64(n), stream)
	}
}

// oneIf returns 1 for true and 0 for false.
func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
