package main

import "fmt"

// logBounds logs the bounds of what is kept and of the delivery, defaults included. Those of ingest are logged where they are set.
func (v *serving) logBounds() {
	log, deliver := v.queue.Config(), v.runner.Settings()
	most := "none"
	if log.MaxBytes > 0 {
		most = fmt.Sprint(log.MaxBytes)
	}
	kept := []any{"maxBytes", most, "retention", log.Retention}
	if log.URL == "" {
		kept = append(kept, "minFreeBytes", log.MinFreeBytes)
	}
	v.log.Info("bounds of accepted events", kept...)
	v.log.Info("bounds of events set aside", "lettersRetention", deliver.DeadLetterRetention, "lettersMaxBytes", deliver.MaxDeadLetterBytes, "parkedMaxBytes", deliver.MaxParkedBytes)
	v.log.Info("bounds of delivery", "parallel", deliver.MaxBatches, "maxPause", deliver.MaxPause, "retryFor", deliver.RetryFor)
}
