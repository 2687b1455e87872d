module sealwright.example/live-steps

go 1.26.0
