/* loom/loom.h - everything a stage or a plugin may use. */
#pragma once

#include <loom/plugin.h>

#include <loom/context.h>
#include <loom/loss_kit.h>
#include <loom/network.h>
#include <loom/packet.h>
#include <loom/rotation.h>
#include <loom/store.h>
#include <loom/tensor.h>
