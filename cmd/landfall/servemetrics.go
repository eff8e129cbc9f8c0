package main

import (
	"net/http"

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
	verdictDesc = prometheus.NewDesc("landfall_durable_verdicts", "Verdicts since the instance began, as they are kept.", []string{"instance", "outcome"}, nil)
	bytesDesc   = prometheus.NewDesc("landfall_queue_bytes", "Bytes of events, parked events and dead letters that are kept.", []string{"stream"}, nil)
)

func gauge(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("landfall_"+name, help, []string{"instance"}, nil)
}

func (d depths) Describe(to chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{waitingDesc, behindDesc, lagDesc, parkedDesc, stoppedDesc, ownedDesc, verdictDesc, bytesDesc} {
		to <- desc
	}
}

func (d depths) Collect(to chan<- prometheus.Metric) {
	give := func(desc *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	for _, s := range d.v.runner.Status() {
		give(waitingDesc, float64(s.Waiting), s.Instance)
		give(behindDesc, float64(s.Behind+s.Waiting), s.Instance)
		give(lagDesc, s.Lag.Seconds(), s.Instance)
		give(parkedDesc, float64(s.Parked), s.Instance)
		stopped := 0.0
		if s.Stopped != "" {
			stopped = 1
		}
		give(stoppedDesc, stopped, s.Instance)
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
