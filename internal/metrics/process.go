package metrics

// processFamilies are the process: what it is, its configuration, its log.
var processFamilies = []family{
	{"fairlead_build_info", gauge, []string{"version", "goversion"}, "Which Fairlead this is; always 1.", func(p *page, s *Snapshot) {
		p.add(1, s.Version, s.GoVersion)
	}},
	{"fairlead_start_time_seconds", gauge, nil, "When the process began to serve.", func(p *page, s *Snapshot) {
		p.addTime(s.Started)
	}},
	{"fairlead_reloads_total", counter, []string{"result"}, "Reloads of the configuration; a refused one changes nothing.", func(p *page, s *Snapshot) {
		p.add(float64(s.Reloads.Done), "done")
		p.add(float64(s.Reloads.Refused), "refused")
	}},
	single(gauge, "fairlead_config_last_reload_successful", "0 while the configuration at work is older than the file, since the last reload was refused.",
		func(s *Snapshot) float64 { return one(!s.Reloads.LastRefused) }),
	{"fairlead_config_last_reload_success_timestamp_seconds", gauge, nil, "When the configuration at work was taken up, at the start or by a reload.", func(p *page, s *Snapshot) {
		p.addTime(s.Reloads.LastDone)
	}},
	{"fairlead_state_kept", gauge, nil, "0 while the pointers' state can't be saved; none where no file keeps it.", func(p *page, s *Snapshot) {
		if s.State != nil {
			p.add(one(s.State.Kept))
		}
	}},
	single(counter, "fairlead_log_lines_dropped_total", "Log lines that were lost, since the log's output took none.",
		func(s *Snapshot) float64 { return float64(s.LogLinesDropped) }),
}
