package server

import "fmt"

// logLimits logs the limits of stored events and of the delivery, including defaults. limitClients logs the limits of ingest.
func (v *server) logLimits() {
	log, deliver := v.queue.Config(), v.runner.Settings()
	most := "none"
	if log.MaxBytes > 0 {
		most = fmt.Sprint(log.MaxBytes)
	}
	kept := []any{"maxBytes", most, "retention", log.Retention}
	if log.URL == "" {
		kept = append(kept, "minFreeBytes", log.MinFreeBytes)
	}
	v.Log.Info("limits of accepted events", kept...)
	v.Log.Info("limits of dead letters and parked events", "lettersRetention", deliver.DeadLetterRetention, "lettersMaxBytes", deliver.MaxDeadLetterBytes, "parkedMaxBytes", deliver.MaxParkedBytes)
	v.Log.Info("limits of delivery", "parallel", deliver.MaxBatches, "maxPause", deliver.MaxPause, "retryFor", deliver.RetryFor, "maxMemoryBytes", log.MaxMemory)
}
