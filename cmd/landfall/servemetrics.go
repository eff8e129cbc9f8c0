package main

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// prepareMetrics makes what is counted.
func (v *serving) prepareMetrics() {
	v.metrics = prometheus.NewRegistry()
	v.counted = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "landfall", Name: "events_total", Help: "Events that came in, by source and what the client was told.",
	}, []string{"source", "outcome"})
	v.metrics.MustRegister(v.counted, depths{v}, damageMetrics{v}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
}

func (v *serving) metricsHandler() http.Handler {
	return promhttp.HandlerFor(v.metrics, promhttp.HandlerOpts{})
}

// depths are what is read when somebody asks.
type depths struct{ v *serving }

var (
	waitingDesc = gauge("waiting", "Items that were read and are not finished.")
	behindDesc  = gauge("lag_events", "Events that are not finished, about as many.")
	lagDesc     = gauge("lag_seconds", "The age of the oldest event that is not finished.")
	parkedDesc  = gauge("parked_keys", "Users whose events are parked.")
	stoppedDesc = gauge("stopped", "1 where nothing is delivered until somebody has logged in.")
	ownedDesc   = gauge("partitions", "Partitions that this process works on.")
	unownedDesc = gauge("unowned_partitions", "Partitions that no process works on. The lag includes what waits in them.")
	deliverDesc = gauge("delivering", "1 if this server delivers to the instance, except where a remote or an operator holds that up.")
	pausedDesc  = gauge("paused_seconds", "How long the remote's pause lasts still; 0 if it asks for none.")
	readyDesc   = prometheus.NewDesc("landfall_ready", "1 if the server takes and delivers events, as /readyz says.", nil, nil)
	findingDesc = prometheus.NewDesc("landfall_finding", "1 for each thing that is wrong or holds something up, as /readyz says.", []string{"code", "instance"}, nil)
	verdictDesc = prometheus.NewDesc("landfall_durable_verdicts", "Verdicts since the instance began, as they are kept.", []string{"instance", "outcome"}, nil)
	bytesDesc   = prometheus.NewDesc("landfall_queue_bytes", "Bytes of events, parked events and dead letters that are kept.", []string{"stream"}, nil)
)

func gauge(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("landfall_"+name, help, []string{"instance"}, nil)
}

func (d depths) Describe(to chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{waitingDesc, behindDesc, lagDesc, parkedDesc, stoppedDesc, ownedDesc, verdictDesc, bytesDesc, unownedDesc, deliverDesc, pausedDesc, readyDesc, findingDesc} {
		to <- desc
	}
}

func (d depths) Collect(to chan<- prometheus.Metric) {
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
		give(ownedDesc, float64(s.Partitions), s.Instance)
		for outcome, n := range s.Counts {
			give(verdictDesc, float64(n), s.Instance, outcome)
		}
	}
	sizes, err := d.v.queue.Sizes()
	if err != nil {
		return // nothing is said rather than something wrong
	}
	for stream, n := range sizes {
		give(bytesDesc, float64(n), stream)
	}
}

// oneIf is the value of a gauge that says yes or no.
func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
