package audienceruns

import "github.com/prometheus/client_golang/prometheus"

// runMetrics count the runs of this process.
type runMetrics struct {
	runs, changes *prometheus.CounterVec
	seconds       *prometheus.GaugeVec
	success       *prometheus.GaugeVec
}

func newRunMetrics(registry prometheus.Registerer) *runMetrics {
	name := func(name string) string { return "landfall_audience_sync_" + name }
	m := &runMetrics{
		runs:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: name("runs_total"), Help: "Runs of audience syncs, by their outcome."}, []string{"sync", "instance", "outcome"}),
		changes: prometheus.NewCounterVec(prometheus.CounterOpts{Name: name("changes_total"), Help: "Changes of members that runs have sent: enter, exit or refused."}, []string{"sync", "instance", "change"}),
		seconds: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name("seconds"), Help: "How long the newest run took."}, []string{"sync", "instance"}),
		success: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name("success_timestamp_seconds"), Help: "When the newest run that succeeded began."}, []string{"sync", "instance"}),
	}
	if registry != nil {
		registry.MustRegister(m.runs, m.changes, m.seconds, m.success)
	}
	return m
}

// observe counts a run.
func (m *runMetrics) observe(r *Run) {
	m.runs.WithLabelValues(r.Sync, r.Instance, string(r.Outcome)).Inc()
	m.seconds.WithLabelValues(r.Sync, r.Instance).Set(r.Seconds)
	if r.Outcome == OK {
		m.success.WithLabelValues(r.Sync, r.Instance).Set(float64(r.At.Unix()))
	}
	if r.Report == nil || r.Outcome == Waiting {
		return
	}
	for change, n := range map[string]int{"enter": r.Report.Enters, "exit": r.Report.Exits, "refused": r.Report.Refused} {
		m.changes.WithLabelValues(r.Sync, r.Instance, change).Add(float64(n))
	}
}
