package content

// ARMVariant is what HostPlatform makes of /proc/cpuinfo on an arm.
var ARMVariant = armVariant
