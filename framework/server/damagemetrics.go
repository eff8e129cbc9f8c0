package server

import "github.com/prometheus/client_golang/prometheus"

// damageMetrics reports how much of the log is lost or damaged. It reads the values on each scrape.
type damageMetrics struct{ v *server }

func (m damageMetrics) descriptions() (lost, files, checkpoints *prometheus.Desc) {
	return prometheus.NewDesc("landfall_log_lost_pages", "Pages of the log that are lost, and whose loss is not accepted.", nil, nil),
		prometheus.NewDesc("landfall_log_damaged_files", "Files of the queue that are damaged, and whose damage is not accepted.", nil, nil),
		prometheus.NewDesc("landfall_checkpoints_refused", "Checkpoints that do not match the log. Their partitions are not delivered.", nil, nil)
}

// Describe implements prometheus.Collector.
func (m damageMetrics) Describe(to chan<- *prometheus.Desc) {
	lost, files, checkpoints := m.descriptions()
	to <- lost
	to <- files
	to <- checkpoints
}

// Collect implements prometheus.Collector.
func (m damageMetrics) Collect(to chan<- prometheus.Metric) {
	d := m.v.queue.Damage()
	lost, files, checkpoints := m.descriptions()
	to <- prometheus.MustNewConstMetric(lost, prometheus.GaugeValue, float64(d.LostPages))
	to <- prometheus.MustNewConstMetric(files, prometheus.GaugeValue, float64(len(d.Files)))
	to <- prometheus.MustNewConstMetric(checkpoints, prometheus.GaugeValue, float64(len(d.Checkpoints)))
}
