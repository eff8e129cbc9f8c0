package main

import "github.com/prometheus/client_golang/prometheus"

// damageMetrics are how much of the log is lost or damaged, read when somebody asks.
type damageMetrics struct{ v *serving }

func (m damageMetrics) descriptions() (lost, files, checkpoints *prometheus.Desc) {
	return prometheus.NewDesc("landfall_log_lost_pages", "Pages of the log that are lost and not accepted as lost.", nil, nil),
		prometheus.NewDesc("landfall_log_damaged_files", "Files of the queue in which damage was found that is not accepted.", nil, nil),
		prometheus.NewDesc("landfall_checkpoints_refused", "Checkpoints that do not fit the log, whose partitions are not delivered.", nil, nil)
}

// Describe tells Prometheus what there is.
func (m damageMetrics) Describe(to chan<- *prometheus.Desc) {
	lost, files, checkpoints := m.descriptions()
	to <- lost
	to <- files
	to <- checkpoints
}

// Collect tells Prometheus what it is now.
func (m damageMetrics) Collect(to chan<- prometheus.Metric) {
	d := m.v.queue.Damage()
	lost, files, checkpoints := m.descriptions()
	to <- prometheus.MustNewConstMetric(lost, prometheus.GaugeValue, float64(d.LostPages))
	to <- prometheus.MustNewConstMetric(files, prometheus.GaugeValue, float64(len(d.Files)))
	to <- prometheus.MustNewConstMetric(checkpoints, prometheus.GaugeValue, float64(len(d.Checkpoints)))
}
